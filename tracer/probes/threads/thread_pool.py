"""Every `ThreadPoolExecutor`: submit, start, end; also `map`, `run_in_executor`, `asyncio.to_thread`. OpenTelemetry's
context is carried into the job."""

import functools
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.hotpath.core import adjuster, make_job, occupancy_of, run_job, submitter
from whywait.tracer.hotpath.jobs import timed_initializer
from whywait.tracer.hotpath.pools import known_pool, pool_of
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.thread_state import begin_submit, begin_wait, end_wait, take_submitted
from whywait.tracer.hotpath.thread_waits import waiter_here
from whywait.tracer.hotpath.waits import record_thread_wait
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.probes.threads import worker_contexts
from whywait.tracer.records.request import Activity, Job, Pool
from whywait.tracer.schema import POOL_NAME_DEFAULT, WAIT_POOL_SHUTDOWN, WAIT_POOL_STARTUP

_HAS_CONTEXTS: Final = sys.version_info >= (3, 14)
name: Final = "executor"
needs: Final = (
    "concurrent.futures.thread.ThreadPoolExecutor._adjust_thread_count",
    "concurrent.futures.thread.ThreadPoolExecutor._max_workers",
    "concurrent.futures.thread.ThreadPoolExecutor._threads",
    *(worker_contexts.NEEDS if _HAS_CONTEXTS else ()),
)
available: Final = always
# the names that the loops give their default executor's threads
_LOOPS_OWN = {"asyncio": POOL_NAME_DEFAULT, "uvloop": POOL_NAME_DEFAULT}
_START_MIN_NS = 100_000  # shorter ones are the price of making a thread
JOB_ATTRIBUTE = "_whywait_job"  # on the host's Future: it must not outlive it


def install(_: Session) -> Undo:
    """Wraps `__init__`, `submit` and `shutdown`; returns the undo."""
    plain_init = ThreadPoolExecutor.__init__
    plain_submit = ThreadPoolExecutor.submit
    plain_adjust = ThreadPoolExecutor._adjust_thread_count

    @functools.wraps(plain_init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain_init(self, *args, **kwargs)
        try:
            _pool_of(self, new=True)
            if callable(getattr(self, "_initializer", None)):
                self._initializer = timed_initializer(self._initializer)
        except Exception as error:
            probe_failed("executor", error)

    @functools.wraps(plain_submit)  # type: ignore[arg-type]
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        try:
            pool = known_pool(self) or _pool_of(self)
            job = make_job(pool, fn, args)
            held = occupancy_of(pool, job, fn, args)
            elsewhere = _HAS_CONTEXTS and worker_contexts.has_own_context(self)
        except Exception as error:
            probe_failed("executor", error)
            return plain_submit(self, fn, *args, **kwargs)
        begin_submit(job)
        try:
            if elsewhere:
                worker_contexts.observe_next((pool, job, held))
                future = plain_submit(self, fn, *args, **kwargs)
            else:
                future = plain_submit(self, run_job, pool, job, held, fn, *args, **kwargs)
        except BaseException as error:
            if job is not None:  # the pool refused it: there was no job
                job.request.forget(job)
            take_this_frame_out(error)
            raise
        finally:
            begin_submit(None)
            if elsewhere:  # the pool refused it
                worker_contexts.observe_next(None)
        if job is not None:
            setattr(future, JOB_ATTRIBUTE, job)
        return future

    @functools.wraps(plain_adjust)
    def _adjust_thread_count(self: Any) -> None:
        # `submit` calls this right after it has put the job into the queue, and holds locks around both
        start_ns = perf_counter_ns()
        job = take_submitted()
        if job is not None:
            job.born_ns = min(start_ns, job.start_ns or start_ns)
        if len(self._threads) >= self._max_workers:
            return plain_adjust(self)  # it will start none
        try:
            start_worker(plain_adjust, self, _pool_of, name)
        except BaseException as error:  # no thread could be started
            take_this_frame_out(error)
            raise

    patches = Patches()
    patches.replace(ThreadPoolExecutor, "__init__", __init__)
    patches.replace(ThreadPoolExecutor, "submit", submit if submitter is None else submitter(plain_submit, submit))
    patches.replace(ThreadPoolExecutor, "shutdown", timed_shutdown(ThreadPoolExecutor.shutdown, _pool_of, name))
    adjust = _adjust_thread_count if adjuster is None else adjuster(plain_adjust, _adjust_thread_count)
    patches.replace(ThreadPoolExecutor, "_adjust_thread_count", adjust)
    if _HAS_CONTEXTS:
        worker_contexts.install(patches)
    return patches.undo


def start_worker(plain: Callable[[Any], None], executor: Any, pool_of: Callable[[Any], Pool], probe: str) -> None:
    """Calls what starts a worker of the executor, and records how long an activity waited for that."""
    # `Thread.start` returns when the new thread has run: it may have waited for the GIL till then
    _timed(waiter_here(), functools.partial(plain, executor), executor, pool_of, probe, _record_startup)


def timed_shutdown(plain: Callable[..., None], pool_of: Callable[[Any], Pool], probe: str) -> Callable[..., None]:
    """Return a replacement of a pool's `shutdown(wait=True)` or `terminate` that records how long an activity waited for it."""

    @functools.wraps(plain)
    def shutdown(self: Any, *args: Any, **kwargs: Any) -> None:
        wait = args[0] if args else kwargs.get("wait", True)
        call = functools.partial(plain, self, *args, **kwargs)
        try:
            _timed(waiter_here() if wait else None, call, self, pool_of, probe, _record_shutdown)
        except BaseException as error:
            take_this_frame_out(error)
            raise

    return shutdown


def _timed(
    activity: Activity | None, call: Callable[[], None], executor: Any, pool_of: Callable[[Any], Pool], probe: str,
    record: Callable[[Activity, Pool, int, int], None],
) -> None:  # fmt: skip
    if activity is None:
        return call()
    start_ns = perf_counter_ns()
    inside = begin_wait()
    try:
        call()
    finally:
        end_wait(inside)
        try:
            record(activity, pool_of(executor), start_ns, perf_counter_ns())
        except Exception as error:
            probe_failed(probe, error)


def _record_startup(activity: Activity, pool: Pool, start_ns: int, end_ns: int) -> None:
    if end_ns - start_ns >= _START_MIN_NS:
        record_thread_wait(activity, WAIT_POOL_STARTUP, start_ns, end_ns, end_ns, None, pool)


def _record_shutdown(activity: Activity, pool: Pool, start_ns: int, end_ns: int) -> None:
    # while jobs still ran, shutdown waited for the last of them; after it, for the threads to end
    last: Job | None = pool.last_job
    if last is None or last.request is not activity.request or not start_ns < last.done_ns <= end_ns:
        last = None
    cause_ns = end_ns if last is None else last.done_ns
    record_thread_wait(activity, WAIT_POOL_SHUTDOWN, start_ns, cause_ns, end_ns, last, pool)


def _pool_of(executor: Any, *, new: bool = False) -> Pool:
    name = getattr(executor, "_thread_name_prefix", "") or "ThreadPoolExecutor"
    return pool_of(executor, _LOOPS_OWN.get(name, name), executor._max_workers, new=new)
