"""A large share of the time is unexplained."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Situation
from whywait.analysis.situations.thresholds import MIN_MEAN_NS, UNSURE_SHARE


@dataclass(frozen=True, slots=True)
class Unexplained:
    """The unexplained amount, and the detail of most of it."""

    kind: ClassVar = Situation.UNEXPLAINED
    mean_ns: float  # per request
    share: float
    detail: str  # "" where no signal covers it


def unexplained(group: Group) -> Iterator[Unexplained]:
    """Yield the unexplained amount, from UNSURE_SHARE and MIN_MEAN_NS on."""
    mean_ns, share = (of.get(Cause.UNEXPLAINED, 0.0) for of in (group.means, group.shares))
    if share >= UNSURE_SHARE and mean_ns >= MIN_MEAN_NS:
        own = group.causes[group.causes["cause"] == Cause.UNEXPLAINED]
        by_detail = own.groupby("detail")["amount_ns"].sum()
        yield Unexplained(mean_ns, share, str(by_detail.idxmax()) if len(by_detail) else "")
