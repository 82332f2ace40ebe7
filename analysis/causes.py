"""The closed set of causes, and the rules that turn what a tracer recorded into one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whywait.tracer import schema


class Cause(StrEnum):
    """Why an instant of a request's wall time passed. Every instant has exactly one."""

    COMPUTE = "compute"
    GIL_WAIT = "gil_wait"
    CPU_WAIT = "cpu_wait"
    LOCK_WAIT = "lock_wait"
    LOGGING_WAIT = "logging_wait"
    BLOCKING_IO = "blocking_io"
    GC_PAUSE = "gc_pause"
    POOL_QUEUE = "pool_queue"
    POOL_STARTUP = "pool_startup"
    POOL_SHUTDOWN = "pool_shutdown"
    LIMITER_WAIT = "limiter_wait"
    LOOP_BUSY = "loop_busy"
    LOOP_WAKEUP = "loop_wakeup"
    COLLECT_ORDER = "collect_order"
    AWAIT_IO = "await_io"
    REQUEST_IO = "request_io"
    GPU_QUEUE = "gpu_queue"
    GPU_COPY = "gpu_copy"
    GPU_COMPUTE = "gpu_compute"
    UNEXPLAINED = "unexplained"


class Evidence(StrEnum):
    """How an amount is known."""

    OBSERVED = "observed"  # both ends timed
    SAMPLED = "sampled"  # from state samples, with its standard error
    INFERRED = "inferred"  # by rule


CAUSES: Final = tuple(Cause)
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rule:
    """A wait that `when` accepts, and no earlier rule did, has this cause.

    `when` sees a frame with the text columns wait, waker, awaited (dotted name) and module, and
    followed_elsewhere: whether the path follows the wait's end into another trace.
    """

    name: str
    when: Callable[[pd.DataFrame], "pd.Series[bool]"]
    cause: Cause
    detail: str  # {pool}, {awaited}, {where}, {waker}, {blocker}, {lock}, {handler}, {device}, {worker}: from the wait
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


_SERVER_IO: Final = (
    r"(?:uvicorn|hypercorn|starlette|daphne|granian)\.(?:.*\.)?"
    r"(?:receive|send|drain|body|stream|listen_for_disconnect|wait_for_disconnect)\b"
)
_LIMITERS: Final = (
    r"(?:asyncio\.(?:locks|queues)\.|asyncio\.(?:Semaphore|BoundedSemaphore|Lock|Event|Condition|Barrier|Queue)\b"
    r"|anyio\.(?:.*\.)?(?:CapacityLimiter|Semaphore|Lock|Condition|Event|ResourceGuard)\b)"
)

_HELD: Final = (
    r"(?:asyncio\.locks\.(?:Lock|Semaphore|BoundedSemaphore|_ContextManagerMixin)\.(?:acquire|__aenter__)"
    r"|anyio\.(?:.*\.)?(?:CapacityLimiter|Semaphore|Lock)\.(?:acquire|acquire_on_behalf_of|__aenter__))$"
)


def is_held(awaited: NDArray[Any], module: NDArray[Any]) -> Mask:
    """True for waits of something that others hold: who released it did not do the waiter's work, so the
    critical path does not go through it; it is the culprit."""
    names = pd.Series(module, dtype=object) + "." + pd.Series(awaited, dtype=object)
    return np.asarray(names.str.match(_HELD), dtype=bool)


# First match wins; the last rule accepts everything, so every wait has a cause.
WAIT_RULES: Final = (
    Rule("pool queue", _type(schema.WAIT_POOL_QUEUE), Cause.POOL_QUEUE, "{pool}"),
    Rule("pool startup", _type(schema.WAIT_POOL_STARTUP), Cause.POOL_STARTUP, "{pool} starting a {worker}{initializer}"),
    Rule("pool shutdown", _type(schema.WAIT_POOL_SHUTDOWN), Cause.POOL_SHUTDOWN, "{pool} shutting down"),
    Rule(
        "pool handover", _type(schema.WAIT_POOL_HANDOVER), Cause.UNEXPLAINED,
        "{pool}: a worker was free and had not begun (GIL or native wait, cannot tell)",
    ),
    Rule("limiter", _type(schema.WAIT_LIMITER), Cause.LIMITER_WAIT, "waiting for a token of {pool}"),
    Rule("loop busy", _type(schema.WAIT_LOOP_BUSY), Cause.LOOP_BUSY, "the loop ran {blocker}"),
    Rule(
        "collect order", _type(schema.WAIT_COLLECT_ORDER), Cause.COLLECT_ORDER,
        "the result was done, {blocker} handled others first",
    ),
    Rule("loop wakeup", _type(schema.WAIT_LOOP_WAKEUP), Cause.LOOP_WAKEUP, "the loop had not woken up yet"),
    Rule("gc", _type(schema.WAIT_GC), Cause.GC_PAUSE, "garbage collection"),
    Rule("gpu queue", _type(schema.WAIT_GPU_QUEUE), Cause.GPU_QUEUE, "{device}"),
    Rule("lock", _type(schema.WAIT_LOCK), Cause.LOCK_WAIT, "{lock}"),
    Rule("logging", _type(schema.WAIT_LOGGING), Cause.LOGGING_WAIT, "logging handler {handler}"),
    Rule("blocking", _type(schema.WAIT_BLOCKING), Cause.BLOCKING_IO, "in {awaited}{where}"),
    Rule(
        "resume", _type(schema.WAIT_RESUME), Cause.UNEXPLAINED,
        "ready to continue, nothing seen on the loop (GIL or CPU)",
    ),
    Rule("request io", _within(_SERVER_IO), Cause.REQUEST_IO, "awaiting {awaited}{where}"),
    Rule("thread's signal", _within(r"threading\."), Cause.LOCK_WAIT, "{lock}"),
    Rule("thread's queue", _within(r"queue\."), Cause.BLOCKING_IO, "in {awaited}{where}"),
    Rule("limiter by name", _within(_LIMITERS), Cause.LIMITER_WAIT, "awaiting {awaited}{where}"),
    Rule("turn", _taken_up_later, Cause.LIMITER_WAIT, "waiting its turn for {waker}", inferred=True),
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
