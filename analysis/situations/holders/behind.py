"""Requests wait behind holders: what those did meanwhile decides what helps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import pandas as pd

from whywait.analysis.causes import Cause
from whywait.analysis.situations.holders.what_holders_did import FOLLOWED
from whywait.analysis.situations.situation import Group, Situation
from whywait.analysis.situations.thresholds import MIN_CYCLE, MIN_GIL_PART, MIN_HELD, MIN_KNOWN
from whywait.analysis.situations.what_helps import instead_of, limit_of
from whywait.tracer import schema

_QUEUES: Final = frozenset(FOLLOWED) - {Cause.LOOP_BUSY}
_KIND_OF: Final = {
    Cause.BLOCKING_IO: Situation.HOLDERS_WAIT,
    Cause.AWAIT_IO: Situation.HOLDERS_WAIT,
    Cause.REQUEST_IO: Situation.HOLDERS_WAIT,
    Cause.GIL_WAIT: Situation.HOLDERS_NEED_GIL,
    Cause.CPU_WAIT: Situation.HOLDERS_NEED_CPU,
    Cause.COMPUTE: Situation.HOLDERS_COMPUTE,
    Cause.GPU_COMPUTE: Situation.HOLDERS_COMPUTE,
    Cause.LOOP_BUSY: Situation.HOLDERS_NEED_LOOP,
} | dict.fromkeys(_QUEUES, Situation.HOLDERS_QUEUE)


@dataclass(frozen=True, slots=True)
class Behind:
    """What the holders of what these requests waited for did meanwhile."""

    kind: Situation  # HOLDERS_*
    of: Cause  # of the requests' wait
    did: Cause  # chiefly, of the holders
    doing: str  # its detail, "" where that says no more
    share: float  # of the holders' known time, all that is of this kind
    how: str  # the limit's own setting; on a loop, what to do instead of the blocking call


@dataclass(frozen=True, slots=True)
class WaitCycle:
    """The holders of one thing wait for another, whose holders wait for the first."""

    kind: ClassVar = Situation.WAIT_CYCLE
    of: Cause
    first: str  # what the requests of `of` wait for
    second: str
    seen: bool  # False: the second is known only not to have been released before a time limit


def behind(group: Group) -> Iterator[Behind | WaitCycle]:
    """Yield for each significant wait behind others what those did, where most of it is known and of one kind."""
    for cause in group.significant:
        every = group.holders[(group.holders["cause"] == cause) & (group.holders["endpoint"] == group.endpoint)]
        own = every[every["did"] != ""]
        yield from _cycles(group, cause, own)
        known_ns = own["ns"].sum()
        if known_ns < MIN_KNOWN * every["ns"].sum():
            continue
        by_kind = own["ns"].groupby(own["did"].map(_KIND_OF)).sum() / known_ns
        shares = dict(by_kind)
        gil, computing = by_kind.get(Situation.HOLDERS_NEED_GIL, 0.0), by_kind.get(Situation.HOLDERS_COMPUTE, 0.0)
        if gil >= MIN_GIL_PART * (gil + computing) > 0:  # who computes Python has what the others need
            by_kind[Situation.HOLDERS_NEED_GIL] = gil + computing
        if by_kind.empty or by_kind.max() < MIN_HELD:
            continue
        kind = Situation(str(by_kind.idxmax()))
        chief = own[own["did"].map(_KIND_OF) == kind].nlargest(1, "ns").iloc[0]
        at, wait = (group.attributes.get(str(chief[key]), {}) for key in ("at", "span_id"))
        how = instead_of(at) if cause is Cause.LOOP_BUSY else limit_of(wait)
        did = Cause(chief["did"])
        doing = str(chief["doing"]) if did.info.detail_adds or did is Cause.LOOP_BUSY else ""
        yield Behind(kind, cause, did, doing, float(shares[kind]), how)


def _cycles(group: Group, cause: Cause, own: pd.DataFrame) -> Iterator[WaitCycle]:
    for row in own[own["did"].isin(_QUEUES)].nlargest(1, "ns").to_dict("records"):
        every = group.holders
        back = every[(every["cause"] == row["did"]) & (every["detail"] == row["doing"])]
        known = back[back["did"] != ""]
        closing = known[(known["did"] == cause) & (known["doing"] == row["detail"])]["ns"].sum()
        closes = closing >= MIN_CYCLE * known["ns"].sum() > 0
        if not closes and len(back):  # nothing is known of who has it, except that it was not released in time
            longest = group.attributes.get(str(back.nlargest(1, "ns")["span_id"].iloc[0]), {})
            closes = longest.get(schema.WAKER_KIND) == schema.WAKER_TIMER
        if closes and row["ns"] >= MIN_CYCLE * own.loc[own["detail"] == row["detail"], "ns"].sum():
            yield WaitCycle(cause, str(row["detail"]), str(row["doing"]), bool(closing))
