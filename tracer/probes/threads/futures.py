"""Waits of a thread for jobs: `Future.result`, `exception`, `as_completed`, `wait`. Each names the job that ended it,
or the task or thread that set a future outside any pool."""

import functools
import sys
from asyncio import _get_running_loop
from concurrent.futures import Future, _base
from contextlib import suppress
from time import perf_counter_ns
from types import FrameType
from typing import Any, Final

from whywait.tracer.host.code_location import user_place
from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.hotpath.core import collector
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.task_steps import waker_now
from whywait.tracer.hotpath.thread_state import begin_wait, end_wait
from whywait.tracer.hotpath.thread_waits import keep_wait, waiter_here
from whywait.tracer.hotpath.waits import record_thread_wait
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.probes.threads.thread_pool import JOB_ATTRIBUTE
from whywait.tracer.records.current import current_activity, here
from whywait.tracer.records.lock_holds import Waited
from whywait.tracer.records.request import Activity, Collector, Job, Waker
from whywait.tracer.schema import WAIT_AWAIT, WAIT_BLOCKING

name: Final = "futures"
needs: Final = (
    "asyncio._get_running_loop", "concurrent.futures._base.Future._condition", "concurrent.futures._base.Future._state",
    "concurrent.futures._base.Future._waiters", "concurrent.futures._base._create_and_install_waiters",
)  # fmt: skip
available: Final = always
_DONE = (_base.FINISHED, _base.CANCELLED_AND_NOTIFIED, _base.CANCELLED)
_CALLS: Final = {
    **{one: f"concurrent.futures.{one}" for one in ("wait", "as_completed")},
    **{one: f"concurrent.futures.Future.{one}" for one in ("result", "exception")},
}
LATE_NS = 1_000_000  # for a shorter time between end and collection the collector is not recorded


def install(_: Session) -> Undo:
    """Wrap the two blocking methods of `Future` and the waiters' event, and return the undo."""
    plain_result, plain_exception = Future.result, Future.exception
    plain_waiters = _base._create_and_install_waiters  # type: ignore[attr-defined]

    @functools.wraps(plain_result)
    def result(self: Any, timeout: float | None = None) -> Any:
        try:
            if type(here.current) is tuple:  # a callback that passes it on to the loop's own future
                return plain_result(self, timeout)
            if self._state in _DONE:
                _take(self)
                return plain_result(self, timeout)
            activity = waiter_here()
            if activity is None:
                return plain_result(self, timeout)
            return _blocked(plain_result, activity, self, timeout)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            self = None  # the exception's frames include this one: break the cycle, as the plain method does

    @functools.wraps(plain_exception)
    def exception(self: Any, timeout: float | None = None) -> Any:
        try:
            if self._state in _DONE or (activity := waiter_here()) is None:
                return plain_exception(self, timeout)
            return _blocked(plain_exception, activity, self, timeout)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            self = None

    def create_and_install_waiters(fs: Any, return_when: Any) -> Any:
        waiter = plain_waiters(fs, return_when)
        if current_activity() is not None:
            waiter.event = _Event(waiter.event)
        return waiter

    patches = Patches()
    for method, plain, collected in (("result", plain_result, result), ("exception", plain_exception, exception)):
        patches.replace(Future, method, collected if collector is None else collector(plain, collected))
    patches.replace(_base, "_create_and_install_waiters", create_and_install_waiters)
    return patches.undo


def _take(future: Any) -> None:
    """A finished result is collected now."""
    job = getattr(future, JOB_ATTRIBUTE, None)
    if job is None or job.resume_ns or not job.done_ns:
        return
    try:
        now = job.resume_ns = perf_counter_ns()
        if now - job.done_ns >= LATE_NS and job.request.open:
            job.collector = _other_collector(job, now, sys._getframe(2))
    except Exception as error:
        probe_failed("futures", error)


def _other_collector(job: Any, now_ns: int, caller: FrameType) -> Collector | None:
    """Who collects a result late; None if that is the job's own request."""
    current = here.current
    if not isinstance(current, Activity):  # none, or a callback outside any request
        return Collector(now_ns, user_place(caller), 0, 0)
    if current.request is job.request:
        return None
    return Collector(now_ns, user_place(caller), current.request.trace_id, current.span_id)


class _Witness:
    """A waiter of a future that records which work set it; the future holds its lock meanwhile."""

    __slots__ = ("by", "cause_ns")

    def __init__(self) -> None:
        self.by: Waker = None
        self.cause_ns = 0

    def add_result(self, _: Any) -> None:
        try:
            self.by, self.cause_ns = waker_now(here.current)
        except Exception as error:  # it must not reach the code that sets the host's future
            probe_failed("futures", error)

    add_exception = add_cancelled = add_result


def _blocked(plain: Any, activity: Activity, future: Any, timeout: float | None) -> Any:
    witness = None if isinstance(getattr(future, JOB_ATTRIBUTE, None), Job) else _Witness()
    if witness is not None:
        with future._condition:
            future._waiters.append(witness)
    start_ns = perf_counter_ns()
    inside = begin_wait()
    try:
        return plain(future, timeout)
    except BaseException as error:
        take_this_frame_out(error)
        raise
    finally:
        end_wait(inside)
        end_ns = perf_counter_ns()
        if witness is not None:
            with future._condition, suppress(ValueError):
                future._waiters.remove(witness)
            _record(activity, start_ns, end_ns, witness.by, witness.cause_ns)
        else:
            job = getattr(future, JOB_ATTRIBUTE, None)
            _record(activity, start_ns, end_ns, job, job.done_ns if job is not None else 0)
        future = None


class _Event:
    """The waiter's event, with its waits timed and their wakers; workers may still refer to the event itself."""

    __slots__ = ("_event", "_witness", "clear", "is_set")

    def __init__(self, event: Any) -> None:
        self._event = event
        self._witness = _Witness()
        self.clear = event.clear
        self.is_set = event.is_set

    def set(self) -> None:
        if not self._event.is_set():  # later ones, while the waiter returns, are not its waker
            self._witness.add_result(None)
        self._event.set()

    def wait(self, timeout: float | None = None) -> bool:
        activity = waiter_here()
        if activity is None or self._event.is_set():
            return self._event.wait(timeout)  # type: ignore[no-any-return]
        witness = self._witness = _Witness()
        start_ns = perf_counter_ns()
        inside = begin_wait()
        try:
            return self._event.wait(timeout)  # type: ignore[no-any-return]
        finally:
            end_wait(inside)
            _record(activity, start_ns, perf_counter_ns(), witness.by, witness.cause_ns)


def _record(activity: Activity, start_ns: int, end_ns: int, by: Waker, cause_ns: int) -> None:
    try:
        kept = True
        if _get_running_loop() is not None:  # it blocks the loop, whatever the job does
            waited = Waited(_CALLS.get(sys._getframe(2).f_code.co_name, "concurrent.futures"))
            keep_wait(activity, WAIT_BLOCKING, start_ns, cause_ns or end_ns, end_ns, by, waited)
        else:
            kept = record_thread_wait(activity, WAIT_AWAIT, start_ns, cause_ns or end_ns, end_ns, by)
        if kept and isinstance(by, Job) and not by.resume_ns:
            by.resume_ns = end_ns
    except Exception as error:
        probe_failed("futures", error)
