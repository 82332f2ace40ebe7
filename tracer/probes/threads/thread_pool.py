"""Every `ThreadPoolExecutor`: submit, start, end; also what goes through it (`map`, `run_in_executor`,
`asyncio.to_thread`). OpenTelemetry's context is carried into the job; the host's own variables are not
touched, so that user code sees what it saw before.
"""

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter_ns
from typing import Any

from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.host.otel_context import current_span_id
from whywait.tracer.hotpath.jobs import (
    known_pool,
    make_job,
    occupancy_of,
    pool_of,
    run_job,
    timed_initializer,
)
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.thread_waits import waiter_here
from whywait.tracer.records.current import here
from whywait.tracer.records.request import Activity, Job, Pool, Wait
from whywait.tracer.schema import POOL_NAME_DEFAULT, WAIT_POOL_SHUTDOWN, WAIT_POOL_STARTUP

# the names that the loops give their default executor's threads
_LOOPS_OWN = {"asyncio": POOL_NAME_DEFAULT, "uvloop": POOL_NAME_DEFAULT}
_START_MIN_NS = 100_000  # shorter ones are the price of making a thread
JOB_ATTRIBUTE = "_whywait_job"  # on the host's Future: it must not outlive it


def install() -> Callable[[], None]:
    """Wraps `__init__`, `submit` and `shutdown`; returns the undo."""
    plain_init = ThreadPoolExecutor.__init__
    plain_submit = ThreadPoolExecutor.submit
    plain_shutdown = ThreadPoolExecutor.shutdown
    plain_adjust = ThreadPoolExecutor._adjust_thread_count

    @functools.wraps(plain_init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain_init(self, *args, **kwargs)
        try:
            pool_of(self, _name(self), self._max_workers, new=True)
            if callable(getattr(self, "_initializer", None)):
                self._initializer = timed_initializer(self._initializer)
        except Exception as error:
            probe_failed("executor", error)

    @functools.wraps(plain_submit)  # type: ignore[arg-type]
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        try:
            pool = known_pool(self) or pool_of(self, _name(self), self._max_workers)
            job = make_job(pool, fn, args)
            held = occupancy_of(pool, job, fn, args)
        except Exception as error:
            probe_failed("executor", error)
            return plain_submit(self, fn, *args, **kwargs)
        mine = here.__dict__
        mine["submitting"] = job
        try:
            future = plain_submit(self, run_job, pool, job, held, fn, *args, **kwargs)
        except BaseException as error:
            if job is not None:  # the pool refused it: there was no job
                job.request.activities.remove(job)
            take_this_frame_out(error)
            raise
        finally:
            mine["submitting"] = None
        if job is not None:
            setattr(future, JOB_ATTRIBUTE, job)
        return future

    @functools.wraps(plain_shutdown)
    def shutdown(self: Any, wait: bool = True, **kwargs: Any) -> None:
        activity = waiter_here() if wait else None
        if activity is None:
            return plain_shutdown(self, wait, **kwargs)
        start_ns = perf_counter_ns()
        here.waiting = True
        try:
            return plain_shutdown(self, wait, **kwargs)
        finally:
            here.waiting = False
            try:
                record_shutdown(activity, pool_of(self, _name(self), self._max_workers), start_ns)
            except Exception as error:
                probe_failed("executor", error)

    @functools.wraps(plain_adjust)
    def _adjust_thread_count(self: Any) -> None:
        # `submit` calls this right after it has put the job into the queue, and holds locks around both
        start_ns = perf_counter_ns()
        job, here.submitting = here.submitting, None
        if job is not None:
            job.born_ns = min(start_ns, job.start_ns or start_ns)
        if len(self._threads) >= self._max_workers:
            return plain_adjust(self)  # it will start none
        activity = waiter_here()
        if activity is None:
            return plain_adjust(self)
        # `Thread.start` returns when the new thread has run: it may have waited for the GIL till then
        here.waiting = True
        try:
            return plain_adjust(self)
        finally:
            here.waiting = False
            end_ns = perf_counter_ns()
            if end_ns - start_ns >= _START_MIN_NS:
                try:
                    pool = pool_of(self, _name(self), self._max_workers)
                    record_startup(activity, pool, start_ns, end_ns)
                except Exception as error:
                    probe_failed("executor", error)

    ThreadPoolExecutor.__init__ = __init__  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]
    ThreadPoolExecutor.shutdown = shutdown  # type: ignore[method-assign]
    ThreadPoolExecutor._adjust_thread_count = _adjust_thread_count  # type: ignore[method-assign]

    def undo() -> None:
        ThreadPoolExecutor.__init__ = plain_init  # type: ignore[method-assign]
        ThreadPoolExecutor.submit = plain_submit  # type: ignore[method-assign]
        ThreadPoolExecutor.shutdown = plain_shutdown  # type: ignore[method-assign]
        ThreadPoolExecutor._adjust_thread_count = plain_adjust  # type: ignore[method-assign]

    return undo


def record_startup(activity: Activity, pool: Pool, start_ns: int, end_ns: int) -> None:
    """Records that an activity has waited for a worker of a pool to be started."""
    if activity.request.take():
        parent_id = current_span_id()
        activity.waits.append(
            Wait(WAIT_POOL_STARTUP, start_ns, end_ns, end_ns, None, None, parent_id, True, pool)
        )


def record_shutdown(activity: Any, pool: Pool, start_ns: int) -> None:
    """Records that an activity has waited since `start_ns` for a pool to shut down."""
    end_ns = perf_counter_ns()
    if not activity.request.take():
        return
    # while jobs still ran, shutdown waited for the last of them; after it, for the threads to end
    last: Job | None = pool.last_job
    parent_id = current_span_id()
    if last is not None and last.request is activity.request and start_ns < last.done_ns <= end_ns:
        activity.waits.append(
            Wait(WAIT_POOL_SHUTDOWN, start_ns, last.done_ns, end_ns, last, None, parent_id, True, pool)
        )
    else:
        activity.waits.append(
            Wait(WAIT_POOL_SHUTDOWN, start_ns, end_ns, end_ns, None, None, parent_id, True, pool)
        )


def _name(executor: Any) -> str:
    name = getattr(executor, "_thread_name_prefix", "") or "ThreadPoolExecutor"
    return _LOOPS_OWN.get(name, name)
