"""Requests that failed, by status, with times of their own: they are another population than those that succeeded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import pandas as pd

from whywait.analysis.measure.felt import both_percentiles
from whywait.analysis.measure.weights import weights_of
from whywait.analysis.situations.situation import Group, Situation

MOST: Final = 3  # statuses, the most frequent first
_CLIENT_ERROR: Final = 400


@dataclass(frozen=True, slots=True)
class FailedRequests:
    """The requests of one status of failure; times are felt by clients, ns."""

    kind: ClassVar = Situation.FAILED_REQUESTS
    status: str  # "500", or "an error" where the status is not known
    error: str  # the chief exception, "" where none was recorded
    requests: int
    of: int
    p50_ns: int
    p99_ns: int
    time_share: float  # of the endpoint's time
    others_p50_ns: int  # of those that did not fail; 0 without any


def failed_requests(group: Group) -> Iterator[FailedRequests]:
    """Yield each status of failure, the most frequent first."""
    requests, weights = group.requests, weights_of(group.requests)
    codes = requests["status_code"].astype("Int64")
    failed = requests["error"].astype(bool) | (codes >= _CLIENT_ERROR).fillna(value=False)
    well = _percentiles(requests[~failed])[0] if not failed.all() else 0
    total_ns = max(float((requests["wall_ns"] * weights).sum()), 1.0)
    status = codes.astype("string").where(codes >= _CLIENT_ERROR).fillna("an error")
    counts = weights[failed].groupby(status[failed]).sum().sort_values(ascending=False, kind="stable")
    for name, count in counts.head(MOST).items():
        own = requests[failed & (status == name)]
        p50, _, p99 = _percentiles(own)
        spent = float((own["wall_ns"] * weights[own.index]).sum()) / total_ns
        yield FailedRequests(str(name), _error(own, str(name)), round(count), round(group.count), p50, p99, spent, well)


def _percentiles(requests: pd.DataFrame) -> tuple[int, ...]:
    return both_percentiles(requests)[0]


def _error(own: pd.DataFrame, status: str) -> str:
    named = own.loc[~own["error_type"].isin(["", status]), "error_type"]
    return str(named.mode().iloc[0]) if len(named) else ""
