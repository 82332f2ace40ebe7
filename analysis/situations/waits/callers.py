"""Which of the user's functions came to wait in one that they share, such as the one through which all ask a service.

load_user    > Api.get > Api.send ~~waits~~
load_orders  > Api.get > Api.send ~~~~~~~~~~~~~~waits~~~~~~~~~~~~~
                         the innermost of the user's: the same for both
"""

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_HELD
from whywait.tracer import schema

_MOST: Final = 3  # that are told


def callers(group: Group) -> Iterator[Pattern]:
    """Yield the functions of the user's that waited most in one that several of them called, ns per request."""
    for cause in (Cause.AWAIT_IO, Cause.BLOCKING_IO):
        own = group.of(cause)
        if own.empty:
            continue
        own = own.assign(caller=caller_of(group, own))
        told = own[own["caller"] != ""].groupby("detail")["amount_ns"].sum()
        if told.empty or told.max() < MIN_HELD * own["amount_ns"].sum():
            continue
        by_caller = own[own["detail"] == told.idxmax()].groupby("caller")["amount_ns"].sum() / group.count
        shares = by_caller[by_caller >= group.least_ns].drop("", errors="ignore").nlargest(_MOST)
        if len(shares):
            yield Pattern(Situation.CALLERS, cause, {"callers": [(str(one), float(ns)) for one, ns in shares.items()]})


def caller_of(group: Group, rows: pd.DataFrame) -> list[str]:
    """Return for each of these waits the nearest caller of its function that tells it from other waits there, as
    "function (file)"; "" where all of them were called by the same functions."""
    chains = [_chain(one) for one in group.attributes_of(rows)]
    after: dict[tuple[str, ...], set[str]] = {}
    for chain in chains:
        for depth in range(1, len(chain)):
            after.setdefault(chain[:depth], set()).add(chain[depth])
    return [
        next((chain[depth] for depth in range(1, len(chain)) if len(after[chain[:depth]]) > 1), "") for chain in chains
    ]


def _chain(attributes: dict[str, Any]) -> tuple[str, ...]:
    """The user's functions, the innermost first; "" after the last, by which one without a caller differs."""
    place = f"{attributes.get(schema.CODE_FUNCTION)} {attributes.get(schema.CODE_FILE)}"
    said = attributes.get(schema.CALLERS)
    return (place, *(map(str, said) if isinstance(said, list) else ()), "")
