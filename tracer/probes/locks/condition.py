"""Waits for a `Condition` and what is built on it. One that work of the same request ended is an edge of the critical
path. A semaphore has holders, like a lock: who released it did not do the waiter's work."""

import functools
import sys
import threading
from asyncio import _get_running_loop
from collections.abc import Callable
from concurrent.futures import process, thread
from time import perf_counter_ns
from typing import Any

from whywait.tracer.host.code_location import Place
from whywait.tracer.host.introspection import local_of, take_this_frame_out
from whywait.tracer.hotpath.core import asking
from whywait.tracer.hotpath.pools import known_pool
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.task_steps import waker_now
from whywait.tracer.hotpath.thread_state import begin_wait, end_wait, note_freed, take_freed
from whywait.tracer.hotpath.thread_waits import called, keep_wait, waiter_here
from whywait.tracer.probes.locks.traced_lock import TracedLock, hold_here
from whywait.tracer.probes.patches import Patches
from whywait.tracer.records.current import here
from whywait.tracer.records.lock_holds import Hold, Waited
from whywait.tracer.records.request import TIMER, Activity, Waker
from whywait.tracer.schema import WAIT_AWAIT, WAIT_BLOCKING, WAIT_LOCK, WAIT_POOL_STARTUP

_POOL_FILES = (process.__file__, thread.__file__)


class _Waiter:
    """One traced thread in a condition's wait, and its notifier."""

    __slots__ = ("by", "certain", "hold")

    def __init__(self) -> None:
        self.hold: Hold | None = None
        self.by: Waker = None
        self.certain = False

    def notified(self, hold: Hold, by: Waker, certain: bool) -> None:
        self.hold, self.by, self.certain = hold, by, certain


# by id of the condition, only while a traced thread waits for it: no object of the host is kept
_Waiters = dict[int, list[_Waiter]]


def install(patches: Patches) -> None:
    """Wrap `Condition.wait` and `notify`, also for existing conditions."""
    every: _Waiters = {}
    condition = threading.Condition
    plain_wait, plain_notify = condition.wait, condition.notify

    @functools.wraps(plain_wait)
    def wait(self: Any, timeout: float | None = None) -> bool:
        current = here.current
        # a worker that waits for its next job still delivers the one before
        try:
            if not isinstance(current, Activity) or (current.end_ns and not here.waiting):
                return plain_wait(self, timeout)
            return _timed_wait(every, plain_wait, self, timeout)
        except BaseException as error:
            take_this_frame_out(error)
            raise

    @functools.wraps(plain_notify)
    def notify(self: Any, n: int = 1) -> None:
        waiters = every.get(id(self)) if every else None
        if not waiters:
            return plain_notify(self, n)
        now, in_all = perf_counter_ns(), len(self._waiters)
        plain_notify(self, n)  # woken threads cannot continue before the condition's lock is released
        try:
            _tell(waiters, n, in_all, now)
        except Exception as error:
            probe_failed("locks", error)

    patches.replace(condition, "wait", wait)
    patches.replace(condition, "notify", notify if asking is None else asking(plain_notify, notify, every))


def _tell(waiters: list[_Waiter], n: int, in_all: int, now: int) -> None:
    by, cause_ns = waker_now(here.current, now)
    hold = hold_here(cause_ns)
    untold = [one for one in waiters if not one.certain]
    if n >= in_all:
        chosen = untold
    elif len(untold) == in_all:  # all waiters are traced, and they are woken in order of arrival
        chosen = untold[:n]
    else:
        for one in untold:  # some of them
            one.notified(hold, by, False)
        return
    for one in chosen:
        one.notified(hold, by, True)


def _timed_wait(every: _Waiters, plain_wait: Callable[..., bool], condition: Any, timeout: float | None) -> bool:
    activity = waiter_here()
    if activity is None and not here.waiting:
        return plain_wait(condition, timeout)
    mine = _Waiter()
    key = id(condition)
    every.setdefault(key, []).append(mine)
    inside = begin_wait()
    take_freed()
    woken = False
    start_ns = perf_counter_ns()
    try:
        woken = plain_wait(condition, timeout)
        return woken
    finally:
        end_ns = perf_counter_ns()
        end_wait(inside)
        _forget(every, key, mine)
        try:
            # the condition's own lock is part of it
            lock_ns = take_freed()
            if not start_ns < lock_ns <= end_ns:
                lock_ns = 0
            cause_ns, by = _cause(mine, woken, start_ns, end_ns, timeout, lock_ns)
            if activity is None:  # inside another wait, which records it
                note_freed(cause_ns)
            else:
                _keep(activity, condition, start_ns, cause_ns, end_ns, by, mine)
        except Exception as error:
            probe_failed("locks", error)


def _cause(
    mine: _Waiter, woken: bool, start_ns: int, end_ns: int, timeout: float | None, lock_ns: int
) -> tuple[int, Waker]:
    """When the wait's cause was over, and who ended it; at `lock_ns` the condition's own lock became free."""
    if mine.hold is not None and woken:
        return max(mine.hold.end_ns, lock_ns), mine.by
    if timeout is not None and not woken:
        return max(start_ns + int(timeout * 1e9), lock_ns), TIMER
    return end_ns, None


def _forget(every: _Waiters, key: int, mine: _Waiter) -> None:
    waiters = every.get(key)
    if waiters is None:
        return
    if mine in waiters:
        waiters.remove(mine)
    if not waiters:
        every.pop(key, None)


def _keep(
    activity: Activity, condition: Any, start_ns: int, cause_ns: int, end_ns: int, by: Waker, mine: _Waiter
) -> None:
    what, caller = called(sys._getframe(2))
    holds = (mine.hold._replace(end_ns=cause_ns),) if mine.hold is not None and by is mine.by else ()
    waited = Waited(what, _made_at(condition), holds, len(condition._waiters) + 1)
    kind, pool = _kind(activity, what, by), None
    if what == "threading.Thread.start" and caller is not None and caller.f_code.co_filename in _POOL_FILES:
        pool = known_pool(local_of(caller, "self"))
        kind = WAIT_BLOCKING if pool is None else WAIT_POOL_STARTUP
    keep_wait(activity, kind, start_ns, cause_ns, end_ns, by, waited, pool)


def _kind(activity: Activity, what: str, by: Waker) -> str:
    if what == "threading.Semaphore.acquire":
        return WAIT_LOCK
    if _get_running_loop() is not None:  # it blocks the loop, whoever ends it
        return WAIT_BLOCKING
    if isinstance(by, Activity) and by is not activity:
        return WAIT_AWAIT if by.request is activity.request else WAIT_LOCK
    return WAIT_BLOCKING if what.startswith(("queue.", "threading.Thread.")) or by is TIMER else WAIT_LOCK


def _made_at(condition: Any) -> Place | None:
    lock = condition._lock
    return lock._made_at if type(lock).__base__ is TracedLock or type(lock) is TracedLock else None
