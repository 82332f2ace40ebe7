"""The critical path of every request, walked backwards over recorded edges, all requests at once.

    root   |----run----|~~~~~~~~~~~~~~~~~await~~~~~~~~~~~~~~~~~|--run--|
                       ^ spawned                               ^ ended by job
    job                |~~pool queue~~|---------run------------|
    path   <-----------<------------------------------------<-----------   (from the right)

From (activity, t): the time back to the end of its last wait with a recorded waker is its own. Then the walk goes on
in the activity that ended the wait, back to its start, and from there in the activity that spawned it. One of another
trace, or without a known spawner, is followed only as far back as the wait lasted (the *cap*); then the walk returns
to the waiter (or the root). Activities that have not begun by then are not followed: that time is the waiter's own.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.span_table import NONE, Bools, Ints

MOVES_AT_ONE_TIME: Final = 64  # longer chains of wake-ups within one nanosecond are a circle
_BEFORE_ALL: Final = -(2**62)
_NO_TIME: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Path:
    """Stretches of activities that cover each request's window once, in no order."""

    request: Ints
    activity: Ints  # NONE: the request's root had not begun or had ended
    start: Ints
    end: Ints
    circular: Ints  # requests in which activities wait for each other in a circle


class _Walk:
    """The state of the walk: one entry per request that is not finished."""

    def __init__(self, activities: Activities, roots: Ints, first: Ints, last: Ints) -> None:
        self.of = activities
        edges = np.flatnonzero(activities.waits.waker >= 0)
        # an edge before all times: every look-up then finds one
        self.edge_vstart = np.concatenate([[_BEFORE_ALL], activities.waits.vstart[edges]])
        self.edge_vend = np.concatenate([[NONE], activities.waits.vend[edges]])
        self.edge_waker = np.concatenate([[NONE], activities.waits.waker[edges]])
        self.first, self.roots = first, roots
        self.request = np.arange(len(roots))
        self.activity = roots.copy()
        self.time = np.clip(activities.end[roots], first, last)
        self.cap_activity = np.full(len(roots), NONE, dtype=np.int64)
        self.cap_time = np.full(len(roots), _NO_TIME, dtype=np.int64)
        self.stuck = np.zeros(len(roots), dtype=np.int64)
        self.found: list[tuple[Ints, Ints, Ints, Ints]] = []
        self.circular: list[Ints] = []

    def keep(self, mask: Bools) -> None:
        for name in ("request", "activity", "time", "cap_activity", "cap_time", "stuck"):
            setattr(self, name, getattr(self, name)[mask])

    def emit(self, mask: Bools, until: Ints) -> None:
        """Assign the time from `until` to now to the activity, where the mask is set."""
        mask = mask & (until < self.time)
        self.found.append((self.request[mask], self.activity[mask], until[mask], self.time[mask]))
        self.time = np.where(mask, until, self.time)

    def step(self) -> None:
        """Assign each activity its own time back to its last edge, then follow that edge or the spawn."""
        before = self.time
        of, floor = self.of, np.maximum(self.first[self.request], self.cap_time)
        begin, vshift = of.start[self.activity], of.vstart[self.activity]
        edge = np.searchsorted(self.edge_vstart, vshift + self.time - begin, side="left") - 1
        has_edge = self.edge_vstart[edge] >= vshift
        edge_start = self.edge_vstart[edge] - vshift + begin
        edge_end = np.where(has_edge, self.edge_vend[edge] - vshift + begin, begin)
        waker = self.edge_waker[edge]
        self.emit(np.ones(len(begin), dtype=bool), np.maximum(edge_end, floor))
        self.stuck = np.where(self.time < before, 0, self.stuck)
        waiting = has_edge & (self.time > floor) & (self.time <= edge_end)
        # the waker may have ended before the wait did: that part is the waiter's own
        alive = waiting & (of.start[waker] < self.time)
        circling = alive & (self.stuck >= MOVES_AT_ONE_TIME)
        self.circular.append(self.request[circling])
        alive &= ~circling
        before = self.time
        own_until = np.where(alive, np.maximum(of.end[waker], edge_start), edge_start)
        self.emit(waiting, np.maximum(own_until, floor))
        follow = alive & (self.time > floor) & (self.time > edge_start)
        self._follow(follow, waker, edge_start)
        born = ~follow & ~waiting & (self.time > floor) & (self.time <= begin)
        self._to_spawner(born)
        self._return_from_cap(~follow & (self.time <= self.cap_time))
        self.stuck = np.where(self.time < before, 0, self.stuck) + (follow | born)

    def _follow(self, mask: Bools, waker: Ints, edge_start: Ints) -> None:
        of = self.of
        foreign = (of.trace[waker] != of.trace[self.activity]) | (of.spawner[waker] < 0)
        cap = mask & foreign & (self.cap_activity < 0)
        self.cap_activity = np.where(cap, self.activity, self.cap_activity)
        self.cap_time = np.where(cap, edge_start, self.cap_time)
        self.activity = np.where(mask, waker, self.activity)

    def _to_spawner(self, born: Bools) -> None:
        of, root = self.of, self.roots[self.request]
        # no activity of a request is older than its root
        over = born & (self.time <= of.start[root])
        self._leave(over)
        born = born & ~over
        spawner = of.spawner[self.activity]
        known = (spawner >= 0) & (of.start[spawner] < self.time) & (of.end[spawner] >= self.time)
        fallback = np.where(self.cap_activity >= 0, self.cap_activity, root)
        self.activity = np.where(born, np.where(known, spawner, fallback), self.activity)
        self._uncap(born & ~known)

    def _leave(self, mask: Bools) -> None:
        """Assign the time before to no activity."""
        activity = self.activity
        self.activity = np.full(len(activity), NONE, dtype=np.int64)
        self.emit(mask, self.first[self.request])
        self.activity = activity

    def _return_from_cap(self, mask: Bools) -> None:
        mask = mask & (self.cap_activity >= 0)
        self.activity = np.where(mask, self.cap_activity, self.activity)
        self._uncap(mask)

    def _uncap(self, mask: Bools) -> None:
        self.cap_time = np.where(mask, _NO_TIME, self.cap_time)
        self.cap_activity = np.where(mask, NONE, self.cap_activity)


def critical_path(activities: Activities, roots: Ints, first: Ints, last: Ints) -> Path:
    """Return the stretches that cover [first, last) of each request once, given the root activity of each."""
    walk = _Walk(activities, roots, first, last)
    after = walk.time < last
    nobody = np.full(int(after.sum()), NONE, dtype=np.int64)
    walk.found.append((walk.request[after], nobody, walk.time[after], last[after]))
    while len(walk.request):
        walk.step()
        walk.keep(walk.time > walk.first[walk.request])
    request, activity, start, end = (np.concatenate([part[column] for part in walk.found]) for column in range(4))
    return Path(request, activity, start, end, np.unique(np.concatenate([*walk.circular, roots[:0]])))
