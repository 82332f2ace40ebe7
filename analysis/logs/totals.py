"""Sums many requests' stretches by label, as percentiles over the requests that have them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whywait.analysis.logs.model import LoggedRequest

UNTIMED: Final = "under no timer"


@dataclass(frozen=True, slots=True)
class Total:
    """One label over all requests; times are ns per request with that label."""

    label: str
    kind: str  # NAMED, SINCE, BETWEEN or UNTIMED
    requests: int
    sum_ns: int
    p50_ns: float
    p95_ns: float
    max_ns: int
    share: float  # of the wall time of all requests


def totals(requests: Sequence[LoggedRequest]) -> list[Total]:
    """Return one row per label and kind, the largest share first; the sums add up to all requests' wall time."""
    sums: dict[tuple[str, str], list[int]] = {}
    for request in requests:
        for key, ns in own_sums(request).items():
            sums.setdefault(key, []).append(ns)
    wall_ns = max(sum(request.wall_ns for request in requests), 1)
    rows = []
    for (label, kind), amounts in sums.items():
        p50, p95 = np.percentile(amounts, (50, 95), method="inverted_cdf")  # by nearest rank
        rows.append(
            Total(
                label, kind, len(amounts), sum(amounts), float(p50), float(p95), max(amounts),
                sum(amounts) / wall_ns,
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: (-row.sum_ns, row.label))


def own_sums(request: LoggedRequest) -> dict[tuple[str, str], int]:
    """Return one request's stretches summed by label and kind, in order of first occurrence."""
    sums: dict[tuple[str, str], int] = {}
    for one in request.stretches:
        sums[one.label, one.kind] = sums.get((one.label, one.kind), 0) + one.ns
    if request.untimed_ns:
        sums[UNTIMED, UNTIMED] = request.untimed_ns
    return sums
