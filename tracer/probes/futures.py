"""Waits of a thread for jobs: `Future.result`, `Future.exception`, `as_completed`, `wait`.

Each names the job that ended it, so that the critical path can follow it into the pool.
"""

import functools
from collections.abc import Callable
from concurrent.futures import Future, _base
from time import perf_counter_ns
from typing import Any

from tracer.probes.executor import JOB_ATTRIBUTE
from tracer.recorder import probe_failed
from tracer.records import Activity, Job, Wait, current_activity
from tracer.schema import WAIT_AWAIT
from tracer.unseen import take_this_frame_out


def install() -> Callable[[], None]:
    """Wraps the two blocking methods of `Future` and the waiters' event; returns the undo."""
    plain_result, plain_exception = Future.result, Future.exception
    plain_waiters = _base._create_and_install_waiters  # type: ignore[attr-defined]

    @functools.wraps(plain_result)
    def result(self: Any, timeout: float | None = None) -> Any:
        activity = current_activity()
        start_ns = 0 if activity is None or self.done() else perf_counter_ns()
        try:
            return plain_result(self, timeout)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            if activity is not None and start_ns:
                _record(activity, start_ns, self)
            self = None  # the exception's frames include this one: break the cycle, as the plain method does

    @functools.wraps(plain_exception)
    def exception(self: Any, timeout: float | None = None) -> Any:
        activity = current_activity()
        start_ns = 0 if activity is None or self.done() else perf_counter_ns()
        try:
            return plain_exception(self, timeout)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            if activity is not None and start_ns:
                _record(activity, start_ns, self)
            self = None  # the exception's frames include this one: break the cycle, as the plain method does

    def create_and_install_waiters(fs: Any, return_when: Any) -> Any:
        waiter = plain_waiters(fs, return_when)
        if current_activity() is not None:
            waiter.event = _Event(waiter.event, waiter)
        return waiter

    Future.result = result  # type: ignore[method-assign]
    Future.exception = exception  # type: ignore[method-assign]
    _base._create_and_install_waiters = create_and_install_waiters  # type: ignore[attr-defined]

    def undo() -> None:
        Future.result = plain_result  # type: ignore[method-assign]
        Future.exception = plain_exception  # type: ignore[method-assign]
        _base._create_and_install_waiters = plain_waiters  # type: ignore[attr-defined]

    return undo


class _Event:
    """The waiter's event, with its waits timed; workers may still hold the event itself."""

    __slots__ = ("_event", "_waiter", "clear", "is_set", "set")

    def __init__(self, event: Any, waiter: Any) -> None:
        self._event = event
        self._waiter = waiter
        self.set = event.set
        self.clear = event.clear
        self.is_set = event.is_set

    def wait(self, timeout: float | None = None) -> bool:
        activity = current_activity()
        if activity is None or self._event.is_set():
            return self._event.wait(timeout)  # type: ignore[no-any-return]
        start_ns = perf_counter_ns()
        try:
            return self._event.wait(timeout)  # type: ignore[no-any-return]
        finally:
            finished = list(self._waiter.finished_futures)
            # the first that finished woke a waiter for any, the last one a waiter for all
            first = isinstance(self._waiter, _base._AsCompletedWaiter | _base._FirstCompletedWaiter)
            _record(activity, start_ns, finished[0 if first else -1] if finished else None)


def _record(activity: Activity, start_ns: int, future: Any) -> None:
    try:
        end_ns = perf_counter_ns()
        if not activity.request.take():
            return
        job = getattr(future, JOB_ATTRIBUTE, None)
        if isinstance(job, Job):
            cause_ns = min(max(job.done_ns or end_ns, start_ns), end_ns)
            if not job.resume_ns:
                job.resume_ns = end_ns
        else:
            job, cause_ns = None, end_ns
        activity.waits.append(Wait(WAIT_AWAIT, start_ns, cause_ns, end_ns, job, None, 0, True))
    except Exception as error:
        probe_failed("futures", error)
