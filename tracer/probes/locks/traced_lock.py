"""Replacements of `threading.Lock` and `RLock` that record which holder blocked a request's thread. Uncontended, one
only tries the plain lock. A thread that has to wait enters `_waiting`, and then each release is recorded *before* it
frees the lock: the wait ends there, not when the waiter runs again."""

import _thread
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from types import FrameType
from typing import Any, ClassVar

from whywait.tracer.host.code_location import Place, user_place
from whywait.tracer.host.introspection import known_thread
from whywait.tracer.hotpath.core import lock_enterer, lock_leaver
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.thread_state import begin_wait, end_wait, note_freed
from whywait.tracer.hotpath.thread_waits import keep_wait, waiter_here
from whywait.tracer.probes.asyncio.lock_releases import stood_here
from whywait.tracer.probes.locks.late_holder import ASKED, NOBODY, answer, ask_who_has
from whywait.tracer.records.current import here
from whywait.tracer.records.lock_holds import Hold, Waited
from whywait.tracer.records.request import TIMER, Activity, Waker
from whywait.tracer.schema import LOCK_KIND_SUBMIT, WAIT_LOCK

_MOST_HOLDS = 256
_NO_HOLDS: deque[Hold] = deque(maxlen=0)  # of a lock without any waiter so far: most of them
_begin_line = threading.Lock()
_CONDITION_INIT = threading.Condition.__init__.__code__
_RLOCK = getattr(threading.RLock, "__code__", None)


class PassesFor(type):
    """The metaclass of the two lock classes: for `type` and `isinstance` they equal the plain locks' types."""

    plain_type: Any

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Create what the plain lock's type creates, or raise as it does."""
        return _watched(cls, cls.plain_type(*args, **kwargs), sys._getframe(1))

    def around(cls, plain: Any, made_at: Place | None) -> Any:
        """A lock around `plain`."""
        return type.__call__(cls, plain, made_at)

    def __repr__(cls) -> str:
        return repr(cls.plain_type)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.plain_type) or type(instance) is cls


class Maker(type):
    """The metaclass of replacements for functions that create locks: classes, which are not bound as methods."""

    # whose locks are traced, and their place of creation; set while installed
    place_of: ClassVar[Callable[[FrameType], Place | None] | None] = None
    unwatched: ClassVar[set[str]] = set()  # source files known to create no traced lock
    make_plain: Any
    kind: PassesFor

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """A plain lock, or a traced one if `place_of` returns a place."""
        plain = cls.make_plain(*args, **kwargs)
        frame = sys._getframe(1)
        code = frame.f_code
        if code is _RLOCK and (back := frame.f_back) is not None:
            frame, code = back, back.f_code
        if code is _CONDITION_INIT and (back := frame.f_back) is not None:
            frame, code = back, back.f_code
        if code.co_filename in Maker.unwatched:  # each future creates a lock
            return plain
        return _watched(cls.kind, plain, frame)

    def __repr__(cls) -> str:
        return repr(cls.make_plain)

    def __instancecheck__(cls, instance: Any) -> bool:
        plain = cls.make_plain
        return isinstance(plain, type) and (isinstance(instance, plain) or type(instance) is cls.kind)


def _watched(kind: PassesFor, plain: Any, frame: FrameType) -> Any:
    chosen = Maker.place_of
    if chosen is None:
        return plain
    try:
        made_at = chosen(frame)
    except Exception as error:
        probe_failed("locks", error)
        return plain
    return plain if made_at is None else kind.around(plain, made_at)


class TracedLock(metaclass=PassesFor):
    """A `threading.Lock`; `isinstance`, `repr`, pickling and copying behave as for the plain lock."""

    __slots__ = ("__weakref__", "_asked", "_holds", "_made_at", "_plain", "_release", "_try", "_waiting")
    plain_type: ClassVar[Any] = _thread.LockType
    what: ClassVar[str] = "threading.Lock"

    def __init_subclass__(cls) -> None:
        # the plain lock cannot be a base class, either
        if cls.__base__ is TracedLock and cls.__module__ != __name__:
            raise TypeError(f"type '{_thread.LockType.__module__}.lock' is not an acceptable base type")

    def __init__(self, plain: Any, made_at: Place | None) -> None:
        self._plain = plain
        self._try = plain.acquire
        self._release = plain.release
        self._made_at = made_at
        self._waiting: list[int] = []
        self._holds = _NO_HOLDS
        self._asked = NOBODY  # see late_holder.py

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if blocking is True and timeout == -1:
            return self._try(False) or wait_for(self, -1)
        return _acquire_as_told(self, blocking, timeout)

    def release(self) -> None:
        if self._waiting:
            stamp_release(self)
        self._release()

    def __enter__(self) -> bool:
        return self._try(False) or wait_for(self, -1)

    def __exit__(self, kind: Any = None, error: Any = None, traceback: Any = None) -> None:
        if self._waiting:
            stamp_release(self)
        self._release()

    acquire_lock = acquire
    release_lock = release

    def _at_fork_reinit(self) -> None:
        self._waiting.clear()
        self._asked = NOBODY
        self._holds.clear()
        self._plain._at_fork_reinit()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def __repr__(self) -> str:
        return repr(self._plain)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._plain.__reduce_ex__(protocol)  # which raises

    @property  # type: ignore[misc]
    def __class__(self) -> type[Any]:
        return type(self).plain_type  # type: ignore[no-any-return]


if lock_enterer is not None and lock_leaver is not None:
    _plain_lock: Any = TracedLock
    _plain_lock.__enter__ = lock_enterer(TracedLock.__enter__, None)
    _plain_lock.__exit__ = lock_leaver(TracedLock.__exit__, None)


class TracedRLock(TracedLock):
    """A `threading.RLock`; also the methods that `Condition` needs."""

    __slots__ = ()
    plain_type: ClassVar[Any] = type(threading.RLock())
    what: ClassVar[str] = "threading.RLock"

    def _is_owned(self) -> bool:
        return self._plain._is_owned()  # type: ignore[no-any-return]

    def _release_save(self) -> Any:
        if self._waiting:
            stamp_release(self)
        return self._plain._release_save()

    def _acquire_restore(self, state: Any) -> None:
        # comes after a condition's wait, whose end it is
        if here.waiting:
            remember_holds(self)
        start_ns = perf_counter_ns()
        self._waiting.append(start_ns)
        try:
            self._plain._acquire_restore(state)
        finally:
            self._waiting.remove(start_ns)
            released_ns = max((one.end_ns for one in self._holds.copy()), default=0)
            if released_ns > start_ns:
                note_freed(released_ns)
            if not self._waiting:
                self._holds.clear()

    @property
    def acquire_lock(self) -> Any:  # type: ignore[override]
        raise AttributeError(f"{type(self._plain).__name__!r} object has no attribute 'acquire_lock'")

    @property
    def release_lock(self) -> Any:  # type: ignore[override]
        raise AttributeError(f"{type(self._plain).__name__!r} object has no attribute 'release_lock'")


class SubmitLock(TracedLock):
    """The lock that every `submit` of every `ThreadPoolExecutor` acquires, and holds while a thread starts."""

    __slots__ = ()
    what: ClassVar[str] = LOCK_KIND_SUBMIT


for _class in (TracedLock, TracedRLock):  # with the plain ones' names
    _class.__module__ = _class.plain_type.__module__
    _class.__name__ = _class.__qualname__ = _class.plain_type.__name__


def _acquire_as_told(lock: TracedLock, blocking: Any, timeout: Any) -> bool:
    try:
        timed = bool(blocking) and (timeout == -1 or 0 < timeout <= threading.TIMEOUT_MAX)
    except TypeError:
        timed = False
    if not timed or here.current is None:  # without a wait, or the plain lock raises
        return lock._plain.acquire(blocking, timeout)  # type: ignore[no-any-return]
    return lock._try(False) or wait_for(lock, timeout)


def wait_for(lock: TracedLock, timeout: float) -> bool:
    """Wait for a lock that another thread holds, as `acquire` does, and record the wait."""
    activity = waiter_here()
    if activity is None and not here.waiting:
        return lock._try(True, timeout)  # type: ignore[no-any-return]
    remember_holds(lock)
    waiting = lock._waiting
    start_ns = perf_counter_ns()
    waiting.append(start_ns)
    in_line = len(waiting) - waiting.count(ASKED)
    inside = begin_wait()
    got: bool | None = None
    try:
        got = lock._try(True, timeout)
        return got
    finally:
        end_ns = perf_counter_ns()
        end_wait(inside)
        holds = _holds_during(lock, start_ns, end_ns, asks=got is False and activity is not None)
        waiting.remove(start_ns)
        try:
            if got and not waiting:  # this thread holds the lock, so that no release is recorded now
                lock._holds.clear()
            cause_ns, by = _cause(got, start_ns, end_ns, timeout, holds)
            if activity is None:
                note_freed(cause_ns)
            else:
                what = Waited(lock.what, lock._made_at, holds, in_line)
                keep_wait(activity, WAIT_LOCK, start_ns, cause_ns, end_ns, by, what)
        except Exception as error:
            probe_failed("locks", error)


def remember_holds(lock: TracedLock) -> None:
    """From now on the releases of this lock are recorded while a thread is in its queue."""
    if lock._holds is _NO_HOLDS:
        with _begin_line:
            if lock._holds is _NO_HOLDS:
                lock._holds = deque(maxlen=_MOST_HOLDS)


def _holds_during(lock: TracedLock, start_ns: int, end_ns: int, *, asks: bool) -> list[Hold]:
    """The holds that ended during a wait; `asks`: who has the lock now is told when it is released."""
    holds: list[Hold] = []
    try:
        holds += [one for one in lock._holds.copy() if start_ns < one.end_ns <= end_ns]
        if asks:
            ask_who_has(lock, holds, end_ns)
    except Exception as error:
        probe_failed("locks", error)
    return holds


def _cause(got: bool | None, start_ns: int, end_ns: int, timeout: float, holds: Sequence[Hold]) -> tuple[int, Waker]:
    if got is None:  # interrupted
        return end_ns, None
    if not got:
        return min(start_ns + int(timeout * 1e9), end_ns), TIMER
    # no recorded release: the lock was free before this thread was in the queue; the rest is the way back to running
    return (holds[-1].end_ns if holds else start_ns), None


def stamp_release(lock: TracedLock) -> None:
    """Record for the waiting threads that the lock is about to be free, and its holder."""
    if lock.what == "threading.RLock" and not lock._plain._is_owned():
        return  # the plain lock will raise
    try:
        hold = hold_here(perf_counter_ns())
        current = here.current
        if isinstance(current, Activity):
            since_ns = lock._holds[-1].end_ns if lock._holds else 0
            hold = hold._replace(stood=stood_here(current, lock.what, since_ns))
        if here.handler_at is not None and sys._getframe(2).f_code.co_filename == logging.__file__:
            hold = hold._replace(place=here.handler_at)  # of a handler's own lock: what it did meanwhile
        lock._holds.append(hold)
        if lock._asked:
            answer(lock, hold)
    except Exception as error:
        probe_failed("locks", error)


def hold_here(end_ns: int) -> Hold:
    """Return the calling thread as a holder that releases now."""
    place = user_place(sys._getframe(1))
    current = here.current
    known = known_thread(threading.get_ident())
    thread = known.name if known is not None else ""
    if isinstance(current, Activity):
        return Hold(end_ns, place, current.request.trace_id, current.span_id, current.name, thread)
    return Hold(end_ns, place, 0, 0, "", thread)
