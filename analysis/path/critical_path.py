"""The critical path of every request, walked backwards over recorded edges.

    root   |----run----|~~~~~~~~~~~~~~~~~await~~~~~~~~~~~~~~~~~|--run--|
                       ^ spawned                               ^ ended by job
    job                |~~pool queue~~|---------run------------|
    path   <-----------<------------------------------------<-----------   (from the right)

From (activity, t): the time back to the end of its last wait with a recorded waker is its own. Then the walk goes on
in the activity that ended the wait, back to its start, and from there in the activity that spawned it. One of another
trace, or without a known spawner, is followed only as far back as the wait lasted (the *cap*); then the walk returns
to the waiter (or the root). Activities that have not begun by then are not followed: that time is the waiter's own.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

import numpy as np

from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.span_table import NONE, Ints

MOVES_AT_ONE_TIME: Final = 64  # longer chains of wake-ups within one nanosecond are a circle
_BEFORE_ALL: Final = -(2**62)
_NO_TIME: Final = -(2**63)


@dataclass(frozen=True, slots=True)
class Path:
    """Stretches of activities that cover each request's window once, in no order."""

    request: Ints
    activity: Ints  # NONE: the request's root had not begun or had ended
    start: Ints
    end: Ints
    circular: Ints  # requests in which activities wait for each other in a circle


class _Walk:
    """The walk of one request after another; a chain of fifty thousand waits costs its steps and no more."""

    def __init__(self, activities: Activities) -> None:
        of, waits = activities, activities.waits
        edges = np.flatnonzero(waits.waker >= 0)
        # an edge before all times: every look-up then finds one
        self.edge_vstart = [_BEFORE_ALL, *waits.vstart[edges].tolist()]
        self.edge_vend = [NONE, *waits.vend[edges].tolist()]
        self.edge_waker = [NONE, *waits.waker[edges].tolist()]
        self.edge_turn = [NONE, *waits.turn[edges].tolist()]
        columns = (of.start, of.end, of.vstart, of.trace, of.spawner)
        self.start, self.end, self.vstart, self.trace, self.spawner = (column.tolist() for column in columns)
        self.found: list[tuple[int, int, int, int]] = []
        self.circular: list[int] = []
        self.cap_activity, self.cap_time = NONE, _NO_TIME

    def go(self, request: int, root: int, first: int, last: int) -> None:
        """Find the stretches of one request."""
        self.request, self.root, self.first = request, root, first
        self.activity, self.time, self.stuck = NONE, last, 0
        self.emit(min(max(self.end[root], first), last))
        self.activity = root
        self.uncap()
        while self.time > first:
            before = self.time
            moved = self.step()
            self.stuck = (0 if self.time < before else self.stuck) + moved

    def emit(self, until: int) -> None:
        """Assign the time from `until` to now to the activity."""
        if until < self.time:
            self.found.append((self.request, self.activity, until, self.time))
            self.time = until

    def step(self) -> bool:
        """Assign the activity its own time back to its last edge, follow that edge or the spawn; return whether so."""
        floor, begin = max(self.first, self.cap_time), self.start[self.activity]
        shift = self.vstart[self.activity] - begin
        edge = bisect_left(self.edge_vstart, shift + self.time) - 1
        has_edge = self.edge_vstart[edge] >= shift + begin
        edge_end = self.edge_vend[edge] - shift if has_edge else begin
        before = self.time
        self.emit(max(edge_end, floor))
        self.stuck = 0 if self.time < before else self.stuck
        waiting = has_edge and floor < self.time <= edge_end
        if waiting and self.waited(edge, self.edge_vstart[edge] - shift, floor):
            return True
        born = not waiting and floor < self.time <= begin
        if born:
            self.to_spawner()
        if self.time <= self.cap_time and self.cap_activity >= 0:
            self.activity = self.cap_activity
            self.uncap()
        return born

    def waited(self, edge: int, edge_start: int, floor: int) -> bool:
        """Assign the waiter its own part of a wait; return whether the walk goes on in what ended it."""
        waker, turn = self.edge_waker[edge], self.edge_turn[edge]
        if turn >= 0 and (self.time <= turn or self.cap_activity >= 0):  # before that step others ran
            self.emit(max(edge_start, floor))
            return False
        alive = self.start[waker] < self.time
        if alive and self.stuck >= MOVES_AT_ONE_TIME:
            self.circular.append(self.request)
            alive = False
        before = self.time
        # the waker may have ended before the wait did: that part is the waiter's own
        self.emit(max(self.end[waker] if alive else edge_start, edge_start, floor))
        self.stuck = 0 if self.time < before else self.stuck
        if not alive or self.time <= max(floor, edge_start):
            return False
        elsewhere = self.trace[waker] != self.trace[self.activity] or self.spawner[waker] < 0
        if self.cap_activity < 0 and (elsewhere or turn >= 0):
            self.cap_activity, self.cap_time = self.activity, max(edge_start, turn)
        self.activity = waker
        return True

    def to_spawner(self) -> None:
        # no activity of a request is older than its root
        if self.time <= self.start[self.root]:
            self.activity = NONE
            self.emit(self.first)
            return
        spawner = self.spawner[self.activity]
        if spawner >= 0 and self.start[spawner] < self.time <= self.end[spawner]:
            self.activity = spawner
            return
        self.activity = self.cap_activity if self.cap_activity >= 0 else self.root
        self.uncap()

    def uncap(self) -> None:
        self.cap_activity, self.cap_time = NONE, _NO_TIME


def critical_path(activities: Activities, roots: Ints, first: Ints, last: Ints) -> Path:
    """Return the stretches that cover [first, last) of each request once, given the root activity of each."""
    walk = _Walk(activities)
    for number, one in enumerate(zip(roots.tolist(), first.tolist(), last.tolist(), strict=True)):
        walk.go(number, *one)
    found = np.array(walk.found, dtype=np.int64).reshape(-1, 4)
    request, activity, start, end = found.T.copy()
    return Path(request, activity, start, end, np.unique(np.array(walk.circular, dtype=np.int64)))
