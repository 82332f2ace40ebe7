"""What a pool's methods record: the wait for a connection, and who holds one; or those of a lock that has a name.

A wait is recorded as any other of its activity, and named when the connection was acquired. A hold is an occupancy
of the pool; its place is where the user's code acquired it, or, once released, where most of the time passed.
"""

import sys
from collections import deque
from collections.abc import Iterable
from contextvars import ContextVar
from itertools import islice
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.host.code_location import Place, is_library, place_here
from whywait.tracer.hotpath.pools import pool_of
from whywait.tracer.hotpath.waits import name_step, name_waits
from whywait.tracer.records.current import current_activity
from whywait.tracer.records.lock_holds import Hold, Waited
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import MIN_RESOLUTION_NS, TIMER, Activity, Pool
from whywait.tracer.redaction.paths import path_without_tokens
from whywait.tracer.schema import STEP_CONNECT, WAIT_CONNECTION, WAIT_LOCK

FAILED: Final = object()  # the result of a call that raised
_MOST_HOLDS = 10_000  # of one library at once; more are not recorded
_MOST_WAITS = 200  # the latest of an activity, read when it releases a connection
_BRIEF_NS = 10_000_000  # a turn that was lost sooner held nothing
_MOST_TASKS = 100  # the latest of a request
_MOST_LOCK_HOLDS = 256  # of one lock, the latest
_UNKNOWN = Place("unknown code", "", 0)


class Acquiring:
    """A call that acquires a connection, then the hold of it."""

    __slots__ = ("activity", "around", "ended", "held", "place", "pool", "start_ns", "turn_ns", "waiters")

    def __init__(self, pool: Pool, around: "Acquiring | None") -> None:
        self.pool = pool
        self.around = around
        self.ended = False
        self.turn_ns = 0  # when it began to connect, or had a connection
        self.waiters = 0  # for a lock, this one included
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
        named: tuple[str, Pool | None, Waited | None] = WAIT_CONNECTION, self.pool, None
        if self.waiters:
            if not self._paused(activity):
                return  # it had the lock at once: to ask for it is I/O
            named = WAIT_LOCK, None, self._lock(until_ns)
        name_waits(activity, self.start_ns, until_ns, *named)
        for one in islice(reversed(activity.request.activities), _MOST_TASKS):
            if one.spawner is activity and self.start_ns <= one.born_ns < until_ns:
                name_waits(one, self.start_ns, until_ns, *named)

    def _paused(self, activity: Activity) -> bool:
        for wait in reversed(activity.waits):
            if wait.start_ns < self.start_ns:
                break
            if wait.by is TIMER:
                return True
        return False

    def _lock(self, until_ns: int) -> Waited:
        """The lock, and who had it meanwhile: in this process, as far as is known."""
        holds = tuple(
            Hold(min(one.end_ns or until_ns, until_ns), one.place, one.trace_id, one.span_id, one.name, "")
            for one in self.pool.occupancies.copy()
            if one is not self.held and one.start_ns < until_ns and not 0 < one.end_ns <= self.start_ns
        )
        elsewhere = "" if holds else ", which nobody in this process had,"
        return Waited(f"{self.pool.name}{elsewhere}", None, holds, self.waiters)

    def release(self) -> None:
        """The connection is free for others."""
        held = self.held
        if held is None:
            return
        held.end_ns = held.end_ns or perf_counter_ns()
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
        self._stand_ins: dict[object, _StandIn] = {}  # by id of the pool, or class and name of the lock
        self._waiting: dict[int, int] = {}  # for a lock: how many

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

    def ask(self, row: Any, args: tuple[Any, ...]) -> Acquiring:
        """A lock is about to be acquired: one of that name for all objects that stand for it."""
        pool = self._lock_of(row, args[0])
        if not pool.name:
            pool.name = f"{row.name(args[0])} {path_without_tokens(row.lock(args[0]))!r}"
            pool.occupancies = deque(maxlen=_MOST_LOCK_HOLDS)
        opened = Acquiring(pool, None)
        opened.waiters = self._waiting[pool.id] = self._waiting.get(pool.id, 0) + 1
        return opened

    def asked(self, _: Any, opened: Acquiring | None, __: tuple[Any, ...], found: Any) -> None:
        """It was acquired, or not. Who has it already keeps it, else one of before has lost it."""
        if opened is None:
            return
        key, is_held = opened.pool.id, found is not FAILED and found is not False
        if self._waiting.get(key, 0) > 1:
            self._waiting[key] -= 1
        else:
            self._waiting.pop(key, None)
        before = self._held.get(key)
        again = before is not None and before.activity is opened.activity is not None
        if is_held and not again:
            opened.turn_came()
        opened.end()
        if opened.held is None or len(self._held) >= _MOST_HOLDS:
            return
        if before is not None and before.held is not None:
            before.held.end_ns = before.held.end_ns or perf_counter_ns()
        self._held[key] = opened

    def gives_back(self, row: Any, args: tuple[Any, ...]) -> Acquiring | None:
        """A lock is about to be released: another may have it before this call returns. Returns its hold."""
        return self._held.get(self._lock_of(row, args[0]).id)

    def gave_back(self, row: Any, held: Acquiring | None, args: tuple[Any, ...], _: Any) -> None:
        """It was released, unless it was acquired more than once."""
        if held is None or row.is_held(args[0]):
            return
        if self._held.get(held.pool.id) is held:
            del self._held[held.pool.id]
        held.release()

    def _lock_of(self, row: Any, lock: Any) -> Pool:
        return pool_of(self._stand_in((row.package, row.lock(lock))), "", 1)

    def _key(self, owner: Any) -> Any:
        """What stands for a pool in the session's records."""
        return owner if type(owner).__weakrefoffset__ else self._stand_in(id(owner))

    def _stand_in(self, key: object) -> _StandIn:
        if len(self._stand_ins) >= _MOST_HOLDS:
            self._stand_ins.clear()
        return self._stand_ins.setdefault(key, _StandIn())
