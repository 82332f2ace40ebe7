"""Traces of other tracers: their critical path is guessed from timing.

Each span becomes an activity that waits for the child that ended last, then the last one that had ended when that one
began, and so on. The walk over recorded edges follows these guesses; its results are marked as inferred.

    GET /    |-----------------------------------|
      db        |------|                            on the path
      cache       |--|                              not: db began before it ended
      render               |------------------|     on the path
"""

import numpy as np

from whywait.analysis.spans.activities import Activities, RawWaits, Waits
from whywait.analysis.spans.span_table import NONE, Bools, Ints, SpanTable

_DEEPEST = 200


def guessed_activities(spans: SpanTable, servers: Ints) -> tuple[Activities, RawWaits] | None:
    """Return activities and waits for the spans below these SERVER spans; None when there are none."""
    if len(servers) == 0:
        return None
    member = np.zeros(len(spans.start), dtype=bool)
    member[servers] = True
    own = member.copy()
    candidates = np.flatnonzero((spans.parents >= 0) & (spans.kinds == ""))
    for _ in range(_DEEPEST):
        new = candidates[member[spans.parents[candidates]] & ~member[candidates]]
        if len(new) == 0:
            break
        member[new] = True
    row = np.flatnonzero(member).astype(np.int64)
    of_row = np.full(len(member), NONE, dtype=np.int64)
    of_row[row] = np.arange(len(row))
    parent = np.where(own[row] | (spans.parents[row] < 0), NONE, of_row[spans.parents[row]])
    start, end = _clipped(spans.start[row], spans.end[row], parent)
    children = _chain(start, end, parent)
    activities = Activities(
        row=row, start=start, end=end, vstart=start, vend=end, spawner=parent, trace=spans.traces[row],
        is_job=np.zeros(len(row), dtype=bool), foreign=np.ones(len(row), dtype=bool), of_row=of_row,
        waits=Waits(row, row, row, row),
    )  # fmt: skip
    return activities, RawWaits(parent[children], start[children], end[children], row[children], children)


def _clipped(start: Ints, end: Ints, parent: Ints) -> tuple[Ints, Ints]:
    """Clip each span to its parent, level by level; the times of the roots stay."""
    start, end = start.copy(), end.copy()
    level = np.flatnonzero(parent < 0)
    below = np.flatnonzero(parent >= 0)
    reached = np.zeros(len(start), dtype=bool)
    reached[level] = True
    while len(below):
        now = reached[parent[below]]
        if not now.any():
            break
        level, below = below[now], below[~now]
        start[level] = np.clip(start[level], start[parent[level]], end[parent[level]])
        end[level] = np.clip(end[level], start[level], end[parent[level]])
        reached[level] = True
    return start, end


def _chain(start: Ints, end: Ints, parent: Ints) -> Ints:
    """Return the children that are on the guessed path of their parents."""
    children = np.flatnonzero((parent >= 0) & (start < end)).astype(np.int64)
    order = children[np.lexsort((children, start[children], end[children], parent[children]))]
    owner = parent[order]
    chosen: Bools = np.zeros(len(order), dtype=bool)
    # sorted by parent, then end: the last of each parent begins its chain
    at = np.flatnonzero(np.append(owner[1:] != owner[:-1], True)) if len(order) else order
    first = np.searchsorted(owner, owner, side="left")
    ends = end[order]
    while len(at):
        chosen[at] = True
        limit = start[order[at]]
        # last sibling that had ended by then: binary search within the siblings, for all parents at once
        low, high = first[at].copy(), at.copy()
        while (low < high).any():
            middle = (low + high) // 2
            open_ = low < high
            ended = ends[np.minimum(middle, len(ends) - 1)] <= limit
            low = np.where(open_ & ended, middle + 1, low)
            high = np.where(open_ & ~ended, middle, high)
        at = (low - 1)[low > first[at]]
    return order[chosen]
