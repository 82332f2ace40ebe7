"""Calls that make a thread wait: sleeps, conditions (and with them events, semaphores, queues), joins.

`time.sleep` is replaced in its module: a name taken from there before `start` is not seen, and the sampler
still says "nanosleep".
"""

import functools
import threading
import time
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from tracer.recorder import probe_failed
from tracer.records import THREAD, Activity, current_activity, here
from tracer.schema import WAIT_AWAIT, WAIT_BLOCKING
from tracer.thread_waits import record_wait, waiting_activity

_NOTIFIED = "_whywait_notified"


def install() -> Callable[[], None]:
    """Wraps the calls; returns the undo."""
    undo_all = [_wrap_sleep(), _wrap_conditions(), _wrap_join()]

    def undo() -> None:
        for one in undo_all:
            one()

    return undo


def _wrap_sleep() -> Callable[[], None]:
    plain_sleep = time.sleep

    @functools.wraps(plain_sleep)
    def sleep(seconds: Any, /) -> None:
        activity = waiting_activity()
        if activity is None:
            return plain_sleep(seconds)
        start_ns = perf_counter_ns()
        here.waiting = True
        try:
            return plain_sleep(seconds)
        finally:
            here.waiting = False
            end_ns = perf_counter_ns()
            try:
                due_ns = start_ns + int(seconds * 1e9)
                record_wait(activity, WAIT_BLOCKING, start_ns, due_ns, end_ns, what="time.sleep")
            except Exception as error:
                probe_failed("thread calls", error)

    time.sleep = sleep

    def undo() -> None:
        time.sleep = plain_sleep

    return undo


def _wrap_conditions() -> Callable[[], None]:
    condition = threading.Condition
    plain_wait, plain_notify = condition.wait, condition.notify

    @functools.wraps(plain_wait)
    def wait(self: Any, timeout: float | None = None) -> bool:
        activity = waiting_activity()
        if activity is None:
            return plain_wait(self, timeout)
        start_ns = perf_counter_ns()
        here.waiting = True
        try:
            return plain_wait(self, timeout)
        finally:
            here.waiting = False
            end_ns = perf_counter_ns()
            try:
                told_ns, by = self.__dict__.get(_NOTIFIED, (0, None))
                in_time = start_ns <= told_ns <= end_ns
                record_wait(
                    activity, WAIT_AWAIT, start_ns, told_ns if in_time else end_ns, end_ns,
                    by=_waker(by, activity) if in_time else THREAD,
                )  # fmt: skip
            except Exception as error:
                probe_failed("thread calls", error)

    @functools.wraps(plain_notify)
    def notify(self: Any, n: int = 1) -> None:
        if self._waiters:
            self.__dict__[_NOTIFIED] = (perf_counter_ns(), current_activity())
        return plain_notify(self, n)

    condition.wait = wait  # type: ignore[method-assign]
    condition.notify = notify  # type: ignore[method-assign]

    def undo() -> None:
        condition.wait = plain_wait  # type: ignore[method-assign]
        condition.notify = plain_notify  # type: ignore[method-assign]

    return undo


def _waker(by: Activity | None, waiter: Activity) -> Any:
    return by if by is not None and by is not waiter else THREAD


def _wrap_join() -> Callable[[], None]:
    plain_join = threading.Thread.join

    @functools.wraps(plain_join)
    def join(self: Any, timeout: float | None = None) -> None:
        activity = waiting_activity()
        if activity is None or not self.is_alive():
            return plain_join(self, timeout)
        start_ns = perf_counter_ns()
        here.waiting = True
        try:
            return plain_join(self, timeout)
        finally:
            here.waiting = False
            end_ns = perf_counter_ns()
            try:
                record_wait(activity, WAIT_AWAIT, start_ns, end_ns, end_ns, by=THREAD, what="Thread.join")
            except Exception as error:
                probe_failed("thread calls", error)

    threading.Thread.join = join  # type: ignore[method-assign]

    def undo() -> None:
        threading.Thread.join = plain_join  # type: ignore[method-assign]

    return undo
