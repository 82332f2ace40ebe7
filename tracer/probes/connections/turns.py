"""What a pool's methods record: the wait for a connection, and who holds one.

A wait is recorded as any other of its activity, and named when the connection was acquired. A hold is an occupancy
of the pool; its place is where the user's code acquired it, or, once released, where most of the time passed.
"""

import sys
from collections.abc import Iterable
from contextvars import ContextVar
from itertools import islice
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.host.code_location import Place, is_library, place_here
from whywait.tracer.hotpath.pools import pool_of
from whywait.tracer.hotpath.waits import name_step, name_waits
from whywait.tracer.records.current import current_activity
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import MIN_RESOLUTION_NS, Activity, Pool
from whywait.tracer.schema import STEP_CONNECT, WAIT_CONNECTION

FAILED: Final = object()  # the result of a call that raised
_MOST_HOLDS = 10_000  # of one library at once; more are not recorded
_MOST_WAITS = 200  # the latest of an activity, read when it releases a connection
_BRIEF_NS = 10_000_000  # a turn that was lost sooner held nothing
_MOST_TASKS = 100  # the latest of a request
_UNKNOWN = Place("unknown code", "", 0)


class Acquiring:
    """A call that acquires a connection, then the hold of it."""

    __slots__ = ("activity", "around", "ended", "held", "place", "pool", "start_ns", "turn_ns")

    def __init__(self, pool: Pool, around: "Acquiring | None") -> None:
        self.pool = pool
        self.around = around
        self.ended = False
        self.turn_ns = 0  # when it began to connect, or had a connection
        self.held: Occupancy | None = None
        self.activity = current_activity()
        self.place = place_here(sys._getframe(2)) or _UNKNOWN
        self.start_ns = perf_counter_ns()

    def turn_came(self) -> None:
        """It holds a connection, or the place of one that is being made."""
        if self.held is not None or self.ended:
            return
        activity, place = self.activity, self.place
        trace_id, span_id = (activity.request.trace_id, activity.span_id) if activity is not None else (0, 0)
        held = self.held = Occupancy(place.function, trace_id, span_id, None)
        held.place = place if place.file else None
        self.turn_ns = held.start_ns = perf_counter_ns()
        self.pool.occupancies.append(held)

    def turn_lost(self) -> None:
        """It holds none after all; it may wait again."""
        held, self.held = self.held, None
        if held is not None:
            held.end_ns = perf_counter_ns()
            if held.end_ns - held.start_ns < _BRIEF_NS:
                held.start_ns = 0  # no connection was being made: it never began

    def end(self) -> None:
        """It has returned: name the waits for the turn, also those of tasks that it waited with (`wait_for`)."""
        self.ended = True
        if OPEN.get() is self:
            OPEN.set(self.around)
        activity, until_ns = self.activity, self.turn_ns or perf_counter_ns()
        if activity is None or not activity.request.open or until_ns - self.start_ns < MIN_RESOLUTION_NS:
            return
        name_waits(activity, self.start_ns, until_ns, WAIT_CONNECTION, self.pool)
        for one in islice(reversed(activity.request.activities), _MOST_TASKS):
            if one.spawner is activity and self.start_ns <= one.born_ns < until_ns:
                name_waits(one, self.start_ns, until_ns, WAIT_CONNECTION, self.pool)

    def release(self) -> None:
        """The connection is free for others."""
        held = self.held
        if held is None:
            return
        held.end_ns = perf_counter_ns()
        activity = self.activity
        if activity is None:
            return
        # its owner; else the request's other tasks: a framework awaits the one that sends a stream
        for owners in ((activity,), islice(reversed(activity.request.activities), _MOST_TASKS)):
            sums = _waited_since(owners, held.start_ns)
            place = max(sums, key=lambda one: sums[one], default=_UNKNOWN)
            if place is not _UNKNOWN and 2 * sums[place] >= held.end_ns - held.start_ns:
                held.name, held.place = place.function, place
                return


def _waited_since(owners: Iterable[Activity], start_ns: int) -> dict[Place, int]:
    """How long they have waited since then, by place in the user's code, ns."""
    sums: dict[Place, int] = {}
    for owner in owners:
        for wait in islice(reversed(owner.waits), _MOST_WAITS):
            if wait.end_ns <= start_ns:
                break
            if wait.site is not None and not is_library(wait.site.user.file):
                inside_ns = wait.end_ns - max(wait.start_ns, start_ns)
                sums[wait.site.user] = sums.get(wait.site.user, 0) + inside_ns
    return sums


OPEN: ContextVar[Acquiring | None] = ContextVar("whywait_acquiring", default=None)


class _StandIn:
    """Stands for a pool that has no weak references."""


class Turns:
    """The connections of one library's pools that are held now. The methods are called with a pool's entry in the
    table, what the call before returned, the arguments and the result."""

    def __init__(self) -> None:
        self._held: dict[int, Acquiring] = {}  # by id of the connection
        self._stand_ins: dict[int, _StandIn] = {}  # by id of the pool

    def made(self, _: Any, __: Any, args: tuple[Any, ...], ___: Any) -> None:
        """A pool is made by the calling code; its size may not be known yet."""
        self._stand_ins.pop(id(args[0]), None)  # of one before it, at this address
        pool_of(self._key(args[0]), "", 0, new=True)

    def begin(self, row: Any, args: tuple[Any, ...]) -> Acquiring | None:
        """A connection is about to be acquired; None inside another call for the same pool."""
        pool, around = pool_of(self._key(args[0]), "", 0), OPEN.get()
        if not pool.name:  # its first use
            pool.name, pool.size, pool.knob, pool.grows = row.name(args[0]), row.size(args[0]), row.knob, row.grows
        if around is not None and around.pool is pool and not around.ended:
            return None
        opened = Acquiring(pool, around)
        if row.connects:
            OPEN.set(opened)
        return opened

    def connects(self, _: Any, __: tuple[Any, ...]) -> int:
        """The turn of the open call came, and it may connect. Returns when."""
        opened = OPEN.get()
        if opened is not None:
            opened.turn_came()
        return perf_counter_ns()

    def connected(self, row: Any, start_ns: int | None, _: tuple[Any, ...], found: Any) -> None:
        """It has a connection, or has not: httpcore gives an idle one to several, of which one gets it."""
        activity = current_activity() if row.makes else None
        if activity is not None and start_ns:
            name_step(activity, start_ns, STEP_CONNECT)
        opened = OPEN.get()
        if opened is not None and not opened.ended and found is FAILED:
            opened.turn_lost()

    def end(self, row: Any, opened: Acquiring | None, _: tuple[Any, ...], found: Any) -> None:
        """A connection was acquired, or not."""
        if opened is None:
            return
        if found is not FAILED:
            opened.turn_came()
        opened.end()
        if found is FAILED or len(self._held) >= _MOST_HOLDS:
            opened.turn_lost()
        else:
            self._held[id(row.taken(found))] = opened

    def release(self, row: Any, _: Any, args: tuple[Any, ...], __: Any) -> None:
        """A connection was released."""
        held = self._held.pop(id(row.given_back(args)), None)
        if held is not None:
            held.release()

    def _key(self, owner: Any) -> Any:
        """What stands for a pool in the session's records."""
        if type(owner).__weakrefoffset__:
            return owner
        if len(self._stand_ins) >= _MOST_HOLDS:
            self._stand_ins.clear()
        return self._stand_ins.setdefault(id(owner), _StandIn())
