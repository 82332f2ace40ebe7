"""When a process had requests: the time over which a rate or a utilization is meant."""

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_LEAST: Final = 0.1  # of the time
_REST_NS: Final = 1_000_000_000  # without any request, from which a pause of the clients is no part of the run


def active_ns(start_ns: "pd.Series[Any]", end_ns: "pd.Series[Any]") -> int:
    """Return the time from the first start to the last end, without pauses longer than _REST_NS in which nothing was open."""
    if len(start_ns) == 0:
        return 0
    start, upto = _ordered(start_ns, end_ns)
    pauses = np.maximum(start[1:] - upto[:-1], 0)
    return int(upto[-1] - start[0] - pauses[pauses > _REST_NS].sum())


def most_at_once(start_ns: "pd.Series[Any]", end_ns: "pd.Series[Any]") -> int:
    """Return how many of these went on at once for a tenth of the time in which any did."""
    times = np.concatenate([end_ns.to_numpy(dtype=np.int64), start_ns.to_numpy(dtype=np.int64)])
    order = np.argsort(times, kind="stable")  # where one ends as another begins, they are no two
    levels = np.cumsum(np.repeat([-1, 1], len(start_ns))[order])[:-1]
    by_level = np.bincount(np.maximum(levels, 0), weights=np.diff(times[order]))
    by_level[0] = 0
    at_least = np.cumsum(by_level[::-1])[::-1]
    return int(np.flatnonzero(at_least >= _LEAST * max(by_level.sum(), 1))[-1]) if by_level.any() else 1


def _ordered(start_ns: "pd.Series[Any]", end_ns: "pd.Series[Any]") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the starts in order, and for each the latest end so far."""
    starts, ends = start_ns.to_numpy(dtype=np.int64), end_ns.to_numpy(dtype=np.int64)
    order = np.argsort(starts, kind="stable")
    return starts[order], np.maximum.accumulate(ends[order])


def in_system(requests: pd.DataFrame, at_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how many requests were in the system, on average, between each of these moments and the next.

    Counted over time, as an arrival adds one and an end takes one away: not from the requests' durations.
    """
    weights = requests["weight"].to_numpy(dtype=np.float64)
    times = np.concatenate([requests["start_ns"].to_numpy(np.int64), requests["end_ns"].to_numpy(np.int64)])
    order = np.argsort(times, kind="stable")
    times, steps = times[order], np.concatenate([weights, -weights])[order]
    # the area under the count up to each moment: what had come, less what had gone, each since when
    counts, areas = np.cumsum(steps), np.cumsum(steps * (times - at_ns[0]))
    seen = np.searchsorted(times, at_ns, side="right") - 1
    count, area = np.where(seen >= 0, counts[seen], 0.0), np.where(seen >= 0, areas[seen], 0.0)
    upto = count * (at_ns - at_ns[0]) - area
    means: NDArray[np.float64] = np.diff(upto) / np.maximum(np.diff(at_ns), 1)
    return means
