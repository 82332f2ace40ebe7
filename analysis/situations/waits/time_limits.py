"""Time limits that ended what requests waited for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import pandas as pd

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Situation
from whywait.analysis.situations.thresholds import MIN_HELD
from whywait.analysis.text import place
from whywait.tracer import schema

_LIBRARIES: Final = ("asyncio", "anyio", "threading", "queue")
_SLEEPS: Final = ("sleep", "sleep_until", "sleep_forever")
_CAUSES: Final = (Cause.AWAIT_IO, Cause.LIMITER_WAIT, Cause.LOCK_WAIT, Cause.CONNECTION_WAIT)


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """Most of the time of a cause was ended by a time limit: what was waited for did not come."""

    kind: ClassVar = Situation.TIME_LIMIT
    of: Cause
    requests: int
    failed: int  # of them: ended with an error
    limit_ns: float  # on average
    where: str


def time_limits(group: Group) -> Iterator[TimeLimit]:
    """Yield for each cause the limits that ended most of its time. A sleep is no limit."""
    for cause in _CAUSES:
        own = group.of(cause)
        attributes = pd.Series(group.attributes_of(own), own.index, dtype=object)
        ended = own[attributes.map(_is_limit).astype(bool)]
        if len(ended) and ended["amount_ns"].sum() >= MIN_HELD * own["amount_ns"].sum():
            by_wait = ended.groupby(["request_id", "span_id"])["amount_ns"].sum()
            weight = ended.groupby(["request_id", "span_id"])["weight"].first()
            (at,) = group.attributes_of(ended.nlargest(1, "amount_ns"))
            where = (
                f"{at.get(schema.CODE_FUNCTION) or '?'} ({place(at.get(schema.CODE_FILE), at.get(schema.CODE_LINE))})"
            )
            failed = group.requests.loc[group.requests["request_id"].isin(ended["request_id"]), "error"]
            yield TimeLimit(cause, len(failed), int(failed.sum()), float((by_wait / weight).mean()), where)


def _is_limit(attributes: dict[str, object]) -> bool:
    awaited, module = (str(attributes.get(key) or "") for key in (schema.FOR, schema.FOR_MODULE))
    return (
        attributes.get(schema.WAKER_KIND) == schema.WAKER_TIMER
        and awaited.split(".")[-1] not in _SLEEPS
        and module.split(".")[0] in _LIBRARIES
    )
