"""Sums of stretches by label, as percentiles over the requests that have them; and what is not known of a request. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whywait.analysis.logs.model import BETWEEN, NAMED, SINCE, LoggedRequest
from whywait.analysis.text import amount

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
        whole = sum(amounts)
        rows.append(Total(label, kind, len(amounts), whole, float(p50), float(p95), max(amounts), whole / wall_ns))
    return sorted(rows, key=lambda row: (-row.sum_ns, row.label))


def own_sums(request: LoggedRequest) -> dict[tuple[str, str], int]:
    """Return one request's stretches summed by label and kind, in order of first occurrence."""
    sums: dict[tuple[str, str], int] = {}
    for one in request.stretches:
        sums[one.label, one.kind] = sums.get((one.label, one.kind), 0) + one.ns
    if request.untimed_ns:
        sums[UNTIMED, UNTIMED] = request.untimed_ns
    return sums


def unknowable(request: LoggedRequest) -> list[str]:
    """Return what the log cannot show about this request, one sentence each, longest time first."""
    timed_ns, between_ns = request.of_kind_ns(NAMED, SINCE), request.of_kind_ns(BETWEEN)
    said = {
        f"{amount(timed_ns)} lie under a name: whether that was computing or waiting for the GIL, a lock, a "
        "pool, the event loop or a CPU. A timer shows where a program was, not why.": timed_ns,
        f"{amount(between_ns)} lie between markers that do not belong together: not even what ran is said.": between_ns,
        f"{amount(request.untimed_ns)} lie under no timer: before the first marker, after the last, or the "
        "stated total is of another clock or another request.": request.untimed_ns,
    }
    sentences = [sentence for sentence, ns in sorted(said.items(), key=lambda one: -one[1]) if ns > 0]
    if request.others:
        others = "1 other request was" if request.others == 1 else f"{request.others:,} other requests were"
        sentences.append(f"{others} in flight meanwhile: whether and how they delayed this one.")
    return sentences
