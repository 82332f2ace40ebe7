"""Requests that differ from the mean: the first ones of a process, and the slowest."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Situation
from whywait.analysis.situations.thresholds import COLD, COLD_AMONG, COLD_NS


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The first requests took far longer than those after them."""

    kind: ClassVar = Situation.COLD_START
    requests: int
    mean_ns: float
    others_ns: float  # mean of those after them
    cause: Cause  # of most of the difference
    detail: str


@dataclass(frozen=True, slots=True)
class SlowestDiffer:
    """The chief cause of the p95 is not that of the mean; `judgement` finds it, as it has the remedy."""

    kind: ClassVar = Situation.SLOWEST_DIFFER
    cause: Cause
    wall_ns: int  # the p95
    ns: int  # of it
    detail: str
    culprit: str
    file: str
    line: int | None
    remedy: str


def cold_start(group: Group) -> Iterator[ColdStart]:
    """Yield the first requests, at most a tenth of all, where each took COLD times as long as the median."""
    requests = group.requests.sort_values("start_ns")
    walls = requests["wall_ns"].to_numpy(dtype=np.float64)
    usual = float(np.median(walls))
    slow = walls >= max(COLD * usual, usual + COLD_NS)
    first = int(np.argmin(slow)) if not slow.all() else 0
    if len(walls) < COLD_AMONG or not 0 < first <= len(walls) / 10:
        return
    cold = group.causes["request_id"].isin(requests["request_id"].head(first))
    by_cause = group.causes[cold].groupby("cause")["amount_ns"].sum() / first
    usually = group.causes[~cold].groupby("cause")["amount_ns"].sum() / max(group.count - first, 1)
    chief = by_cause.sub(usually, fill_value=0).idxmax()
    rows = group.causes[cold & (group.causes["cause"] == chief)]
    detail = str(rows.groupby("detail")["amount_ns"].sum().idxmax())
    yield ColdStart(first, float(walls[:first].mean()), float(walls[first:].mean()), Cause(str(chief)), detail)
