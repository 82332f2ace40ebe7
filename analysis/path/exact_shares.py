"""Divides whole nanoseconds: shares that sum exactly, with no share above its limit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whywait.analysis.spans.span_table import Ints


def spread(totals: Ints, weights: Ints, group: Ints) -> Ints:
    """Return each group's total divided by weight, never more than the weight; `group` indexes `totals`, equal ones
    adjacent. Rounding is cumulative: a group's shares sum exactly."""
    if len(weights) == 0:
        return np.zeros(0, dtype=np.int64)
    sums = np.bincount(group, weights=weights, minlength=len(totals)).astype(np.int64)
    totals = np.clip(totals, 0, sums)
    running = np.cumsum(weights)
    before = running - weights
    starts = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    base = np.repeat(before[starts], np.diff(np.append(starts, len(weights))))
    ratio = np.divide(totals, sums, out=np.zeros(len(totals)), where=sums > 0)[group]
    upto = np.rint((running - base) * ratio).astype(np.int64)
    since = np.rint((before - base) * ratio).astype(np.int64)
    return np.asarray(np.minimum(upto - since, weights), dtype=np.int64)


def scaled(amounts: NDArray[np.int64], part: Ints, whole: Ints) -> NDArray[np.int64]:
    """Return each row of amounts scaled from `whole` (their sum) to `part`, by largest remainder."""
    exact: NDArray[Any] = amounts * (part / np.maximum(whole, 1))[:, None]
    floor = np.floor(exact).astype(np.int64)
    missing = part - floor.sum(axis=1)
    rank = np.argsort(np.argsort(-(exact - floor), axis=1, kind="stable"), axis=1, kind="stable")
    return np.asarray(floor + (rank < missing[:, None]), dtype=np.int64)
