"""The rules that give each wait its cause: the kinds of waits first, as the causes' records name them, then what was
awaited."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whywait.analysis.causes import INFO, Cause
from whywait.tracer import schema


@dataclass(frozen=True, slots=True)
class Rule:
    """A wait that `when` accepts, and no earlier rule did, has this cause.

    `when` sees a frame with the text columns wait, waker, awaited (dotted name) and module, and
    followed_elsewhere: whether the path follows the wait's end into another trace.
    """

    name: str
    when: Callable[[pd.DataFrame], "pd.Series[bool]"]
    cause: Cause
    detail: str  # {pool}, {awaited}, {where}, ...: from the wait
    inferred: bool = False  # not seen, but what else could it be


def _type(wait: str) -> Callable[[pd.DataFrame], "pd.Series[bool]"]:
    return lambda waits: waits["wait"] == wait


def _awaits(*, waker: str) -> Callable[[pd.DataFrame], "pd.Series[bool]"]:
    return lambda waits: (waits["wait"] == schema.WAIT_AWAIT) & (waits["waker"] == waker)


def _within(pattern: str) -> Callable[[pd.DataFrame], "pd.Series[bool]"]:
    """Accept awaits of a function whose dotted name, or module and name, matches from the start."""

    def matches(waits: pd.DataFrame) -> "pd.Series[bool]":
        named = waits["awaited"].str.match(pattern) | (waits["module"] + "." + waits["awaited"]).str.match(
            pattern
        )
        return (waits["wait"] == schema.WAIT_AWAIT) & named

    return matches


def _taken_up_later(waits: pd.DataFrame) -> "pd.Series[bool]":
    # the path went through who ended the wait, in another trace, back to where that began: before, the
    # waiter waited for somebody who had not taken it up yet
    return (waits["wait"] == schema.WAIT_AWAIT) & waits["followed_elsewhere"].astype(bool)


# First match wins; the last rule accepts everything, so every wait has a cause.
WAIT_RULES: Final = (
    *(Rule(kind, _type(kind), cause, detail) for cause, of in INFO.items() for kind, detail in of.waits.items()),
    Rule("request io", _within(schema.FOR_REQUEST_IO), Cause.REQUEST_IO, "awaiting {awaited}{where}"),
    Rule("thread's signal", _within(schema.FOR_THREAD_SIGNAL), Cause.LOCK_WAIT, "{lock}"),
    Rule("thread's queue", _within(schema.FOR_THREAD_QUEUE), Cause.BLOCKING_IO, "in {awaited}{where}"),
    Rule("limiter by name", _within(schema.FOR_LIMITER), Cause.LIMITER_WAIT, "awaiting {awaited}{where}"),
    Rule("queued for another trace", _taken_up_later, Cause.LIMITER_WAIT, "queued for {waker}", inferred=True),
    Rule("timer", _awaits(waker=schema.WAKER_TIMER), Cause.AWAIT_IO, "a timer: {awaited}{where}"),
    Rule("io", _awaits(waker=schema.WAKER_IO), Cause.AWAIT_IO, "awaiting {awaited}{where}"),
    Rule(
        "untraced thread", _awaits(waker=schema.WAKER_THREAD), Cause.UNEXPLAINED,
        "awaiting {awaited}{where}, ended by a thread that nobody traced",
    ),
    Rule("anything else", lambda waits: waits["wait"] == waits["wait"], Cause.UNEXPLAINED,
         "awaiting {awaited}{where}"),
)  # fmt: skip


def rule_numbers(waits: pd.DataFrame) -> NDArray[np.int64]:
    """Return for each wait the number of the first rule of WAIT_RULES that accepts it."""
    return np.select(
        [rule.when(waits).to_numpy(dtype=bool) for rule in WAIT_RULES],
        list(range(len(WAIT_RULES))),
        len(WAIT_RULES) - 1,
    ).astype(np.int64)
