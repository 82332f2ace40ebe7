"""Traces of other tracers: their critical path is guessed from timing.

Each span becomes an activity that waits for the child that ended last, then the last one that had ended when that one
began, and so on. The walk over recorded edges follows these guesses; its results are marked as inferred.

    GET /    |-----------------------------------|
      db        |------|                            on the path
      cache       |--|                              not: db began before it ended
      render               |------------------|     on the path
"""

from bisect import bisect_right

import numpy as np

from whywait.analysis.spans.activities import Activities, RawWaits, Waits
from whywait.analysis.spans.span_table import NONE, Ints, SpanTable, nearest


def guessed_activities(spans: SpanTable, servers: Ints) -> tuple[Activities, RawWaits] | None:
    """Return activities and waits for the spans below these SERVER spans; None when there are none."""
    if len(servers) == 0:
        return None
    own = np.zeros(len(spans.start), dtype=bool)
    own[servers] = True
    member = nearest(np.where(spans.kinds == "", spans.parents, NONE), own) >= 0
    row = np.flatnonzero(member).astype(np.int64)
    of_row = np.full(len(member), NONE, dtype=np.int64)
    of_row[row] = np.arange(len(row))
    parent = np.where(own[row] | (spans.parents[row] < 0), NONE, of_row[spans.parents[row]])
    start, end = _clipped(spans.start[row], spans.end[row], parent)
    children = _chain(start, end, parent)
    activities = Activities(
        row=row, start=start, end=end, vstart=start, vend=end, spawner=parent, trace=spans.traces[row],
        is_job=np.zeros(len(row), dtype=bool), foreign=np.ones(len(row), dtype=bool), of_row=of_row,
        waits=Waits(row, row, row, row, row),
    )  # fmt: skip
    turn = np.full(len(children), NONE, dtype=np.int64)
    return activities, RawWaits(parent[children], start[children], end[children], row[children], children, turn)


def _clipped(start: Ints, end: Ints, parent: Ints) -> tuple[Ints, Ints]:
    """Clip each span to all that are above it; the times of the roots stay."""
    above = np.where(parent < 0, np.arange(len(parent)), parent)
    while True:
        # twice as far up in each round: an interval that is clipped to its parent's clips as both do
        low, high = start[above], end[above]
        start, end = np.clip(start, low, high), np.clip(end, low, high)
        further = above[above]
        if np.array_equal(further, above):
            return start, end
        above = further


def _chain(start: Ints, end: Ints, parent: Ints) -> Ints:
    """Return the children that are on the guessed path of their parents."""
    children = np.flatnonzero((parent >= 0) & (start < end)).astype(np.int64)
    order = children[np.lexsort((children, start[children], end[children], parent[children]))]
    owner = parent[order]
    # sorted by parent, then end: the last of each parent begins its chain
    last = np.flatnonzero(np.append(owner[1:] != owner[:-1], True)) if len(order) else order
    first = np.searchsorted(owner, owner[last], side="left")
    starts, ends, chosen = start[order].tolist(), end[order].tolist(), list[int]()
    for begin, at in zip(first.tolist(), last.tolist(), strict=True):
        while at >= begin:
            chosen.append(at)
            at = bisect_right(ends, starts[at], begin, at) - 1
    return order[np.sort(np.array(chosen, dtype=np.int64))]
