"""Locks that know who held them while others waited. Free of contention they cost a fraction of a microsecond.

They are what `threading.Lock()` and `threading.RLock()` give to the modules that are looked at; all they
do is done by a plain lock inside.
"""

import sys
import threading
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from tracer.places import user_place
from tracer.records import Activity, Hold, LockRecord, Place, here
from tracer.schema import WAIT_LOCK
from tracer.thread_waits import record_wait, waiting_activity


class _Held:
    """What both kinds share: the stamps of the current hold, and the record of contended ones."""

    __slots__ = (
        "__weakref__",
        "_holder",
        "_lock",
        "_record",
        "_released_ns",
        "_since_ns",
        "_thread_id",
        "_waiting",
    )

    def __init__(self, lock: Any, record: LockRecord) -> None:
        self._lock = lock
        self._record = record
        self._waiting: list[int] = []  # when each waiter began: appended and removed whole, without a lock
        self._holder: Any = None
        self._thread_id = self._since_ns = self._released_ns = 0

    def _taken(self) -> None:
        self._holder = here.current
        self._thread_id = threading.get_ident()
        self._since_ns = perf_counter_ns()

    def _wait(self, timeout: float) -> bool:
        activity = waiting_activity()
        if activity is None:
            got = self._lock.acquire(True, timeout)
            if got:
                self._taken()
            return bool(got)
        start_ns = perf_counter_ns()
        self._waiting.append(start_ns)
        here.waiting = True
        try:
            got = self._lock.acquire(True, timeout)
        finally:
            here.waiting = False
            self._waiting.remove(start_ns)
        end_ns = perf_counter_ns()
        if got:
            cause_ns = self._released_ns
            self._taken()
        else:
            cause_ns = end_ns
            self._keep_hold(end_ns, self._place_of_holder())
        record_wait(activity, WAIT_LOCK, start_ns, cause_ns, end_ns, lock=self._record, what="Lock.acquire")
        return bool(got)

    def _place_of_holder(self) -> Place | None:
        return user_place(sys._current_frames().get(self._thread_id))

    def _keep_hold(self, end_ns: int, place: Place | None) -> None:
        holder = self._holder
        owner = holder if isinstance(holder, Activity) else None
        self._record.holds.append(
            Hold(
                self._since_ns,
                end_ns,
                owner.request.trace_id if owner is not None else 0,
                owner.span_id if owner is not None else 0,
                owner.name if owner is not None else "",
                place,
            )
        )

    def _freed(self) -> None:
        if self._waiting:
            now = self._released_ns = perf_counter_ns()
            self._keep_hold(now, user_place(sys._getframe(2)))
        self._holder = None

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()
        self._holder = None
        self._waiting.clear()

    def __repr__(self) -> str:
        return repr(self._lock)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._lock.__reduce_ex__(protocol)


def _is_refused(timeout: float) -> bool:
    """Whether a plain lock would refuse it: it has the words for that."""
    return timeout != -1 and not 0 <= timeout <= threading.TIMEOUT_MAX


class TracedLock(_Held):
    """Stands for `threading.Lock()`."""

    __slots__ = ()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As the plain lock's."""
        if not blocking or _is_refused(timeout):
            got = self._lock.acquire(blocking, timeout)
        else:
            got = self._lock.acquire(False)
            if not got:
                return self._wait(timeout)
        if got:
            self._taken()
        return bool(got)

    def release(self) -> None:
        """As the plain lock's."""
        self._freed()
        self._lock.release()

    def locked(self) -> bool:
        """As the plain lock's."""
        return bool(self._lock.locked())

    acquire_lock, release_lock, locked_lock = acquire, release, locked

    def __enter__(self) -> bool:
        if self._lock.acquire(False):
            self._taken()
            return True
        return self._wait(-1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._freed()
        self._lock.release()


class TracedRLock(_Held):
    """Stands for `threading.RLock()`."""

    __slots__ = ("_depth",)

    def __init__(self, lock: Any, record: LockRecord) -> None:
        super().__init__(lock, record)
        self._depth = 0  # touched by the owner only

    def _entered(self) -> None:
        self._depth += 1
        if self._depth == 1:
            self._taken()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As the plain lock's."""
        if not blocking or _is_refused(timeout):
            got = self._lock.acquire(blocking, timeout)
        else:
            got = self._lock.acquire(False)
            if not got:
                got = self._wait(timeout)
                if got:
                    self._depth = 1
                return bool(got)
        if got:
            self._entered()
        return bool(got)

    __enter__ = acquire

    def release(self) -> None:
        """As the plain lock's."""
        if self._depth == 1 and self._lock._is_owned():
            self._depth = 0
            self._freed()
        elif self._depth > 1 and self._lock._is_owned():
            self._depth -= 1
        self._lock.release()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    # what `threading.Condition` asks of its lock
    def _is_owned(self) -> bool:
        return bool(self._lock._is_owned())

    def _release_save(self) -> Any:
        depth = self._depth
        if self._lock._is_owned():
            self._depth = 0
            self._freed()
        return depth, self._lock._release_save()

    def _acquire_restore(self, state: Any) -> None:
        depth, inner = state
        self._lock._acquire_restore(inner)
        self._depth = depth
        self._taken()

    def _recursion_count(self) -> int:
        return int(self._lock._recursion_count())

    def _at_fork_reinit(self) -> None:
        super()._at_fork_reinit()
        self._depth = 0
