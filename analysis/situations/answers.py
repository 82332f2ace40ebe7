"""The answers: failures by status, with times of their own; and last bytes that lay in the kernel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from whywait.analysis.measure.weights import percentiles, weights_of
from whywait.analysis.situations.situation import Group, Situation

MOST: Final = 3  # statuses, the most frequent first
NAGLE_SHARE: Final = 0.1  # of the traced requests
_CLIENT_ERROR: Final = 400


@dataclass(frozen=True, slots=True)
class FailedRequests:
    """The requests of one status of failure, another population than those that succeeded; times are felt, ns."""

    kind: ClassVar = Situation.FAILED_REQUESTS
    status: str  # "500", or "an error" where the status is not known
    error: str  # the chief exception, "" where none was recorded
    requests: int
    of: int
    p50_ns: int
    p99_ns: int
    others_p50_ns: int  # of those that did not fail; 0 without any


@dataclass(frozen=True, slots=True)
class Nagle:
    """How many traced answers' last bytes waited for the client's ACK."""

    kind: ClassVar = Situation.NAGLE
    answers: int


def answers(group: Group) -> Iterator[FailedRequests | Nagle]:
    """Yield each status of failure, the most frequent first, and then Nagle's waits."""
    requests, weights = group.requests, weights_of(group.requests)
    codes = requests["status_code"].astype("Int64")
    is_status = (codes >= _CLIENT_ERROR).fillna(value=False)
    failed = requests["error"].astype(bool) | is_status
    status = codes.astype("string").where(is_status, "an error").where(failed, "")
    times = {
        str(name): [int(ns) for ns in percentiles(own["wall_ns"], weights[own.index], (50, 99))]
        for name, own in requests.groupby(status)
    }
    counts = weights[failed].groupby(status[failed]).sum().sort_values(ascending=False, kind="stable")
    for name, count in zip(map(str, counts.index), counts.head(MOST), strict=False):
        errors = requests.loc[(status == name) & ~requests["error_type"].isin(["", name]), "error_type"]
        chief = str(errors.mode().iloc[0]) if len(errors) else ""
        p50, p99 = times[name]
        yield FailedRequests(name, chief, round(count), round(group.count), p50, p99, times.get("", [0])[0])
    held = int(requests["nagle"].sum())
    if held > NAGLE_SHARE * len(requests):
        yield Nagle(held)
