"""Every `ThreadPoolExecutor`: submit, start, end; also what goes through it (`map`, `run_in_executor`,
`asyncio.to_thread`). OpenTelemetry's context is carried into the job; the host's own variables are not
touched, so that user code sees what it saw before.
"""

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter_ns
from typing import Any

from tracer.jobs import make_job, occupancy_of, pool_of, run_job
from tracer.recorder import probe_failed
from tracer.records import Job, Pool, Wait, current_activity
from tracer.schema import WAIT_POOL_SHUTDOWN
from tracer.unseen import take_this_frame_out

# the names that the loops give their default executor's threads
_LOOPS_OWN = {"asyncio": "default executor", "uvloop": "default executor"}
JOB_ATTRIBUTE = "_whywait_job"  # on the host's Future: it must not outlive it


def install() -> Callable[[], None]:
    """Wraps `__init__`, `submit` and `shutdown`; returns the undo."""
    plain_init = ThreadPoolExecutor.__init__
    plain_submit = ThreadPoolExecutor.submit
    plain_shutdown = ThreadPoolExecutor.shutdown

    @functools.wraps(plain_init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain_init(self, *args, **kwargs)
        try:
            pool_of(self, _name(self), self._max_workers, new=True)
        except Exception as error:
            probe_failed("executor", error)

    @functools.wraps(plain_submit)  # type: ignore[arg-type]
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        try:
            pool = pool_of(self, _name(self), self._max_workers)
            job = make_job(pool, fn, args)
            held = occupancy_of(pool, job, fn, args)
        except Exception as error:
            probe_failed("executor", error)
            return plain_submit(self, fn, *args, **kwargs)
        try:
            future = plain_submit(self, run_job, pool, job, held, fn, *args, **kwargs)
        except BaseException as error:
            if job is not None:  # the pool refused it: there was no job
                job.request.activities.remove(job)
            take_this_frame_out(error)
            raise
        if job is not None:
            setattr(future, JOB_ATTRIBUTE, job)
        return future

    @functools.wraps(plain_shutdown)
    def shutdown(self: Any, wait: bool = True, **kwargs: Any) -> None:
        activity = current_activity() if wait else None
        if activity is None:
            return plain_shutdown(self, wait, **kwargs)
        start_ns = perf_counter_ns()
        try:
            return plain_shutdown(self, wait, **kwargs)
        finally:
            try:
                _record_shutdown(activity, pool_of(self, _name(self), self._max_workers), start_ns)
            except Exception as error:
                probe_failed("executor", error)

    ThreadPoolExecutor.__init__ = __init__  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]
    ThreadPoolExecutor.shutdown = shutdown  # type: ignore[method-assign]

    def undo() -> None:
        ThreadPoolExecutor.__init__ = plain_init  # type: ignore[method-assign]
        ThreadPoolExecutor.submit = plain_submit  # type: ignore[method-assign]
        ThreadPoolExecutor.shutdown = plain_shutdown  # type: ignore[method-assign]

    return undo


def _record_shutdown(activity: Any, pool: Pool, start_ns: int) -> None:
    end_ns = perf_counter_ns()
    if not activity.request.take():
        return
    # while jobs still ran, shutdown waited for the last of them; after it, for the threads to end
    last: Job | None = pool.last_job
    if last is not None and last.request is activity.request and start_ns < last.done_ns <= end_ns:
        activity.waits.append(
            Wait(WAIT_POOL_SHUTDOWN, start_ns, last.done_ns, end_ns, last, None, 0, True, pool)
        )
    else:
        activity.waits.append(Wait(WAIT_POOL_SHUTDOWN, start_ns, end_ns, end_ns, None, None, 0, True, pool))


def _name(executor: Any) -> str:
    name = getattr(executor, "_thread_name_prefix", "") or "ThreadPoolExecutor"
    return _LOOPS_OWN.get(name, name)
