"""A job's life for the executor probes: created at submit, begun and ended on its worker thread."""

import functools
import threading
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter_ns
from types import FunctionType
from typing import Any

from whywait.tracer.host.introspection import lasting_thread, take_this_frame_out
from whywait.tracer.host.otel_context import StandIn, current_span_id, enter, leave
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.job_names import carried_context, describe
from whywait.tracer.hotpath.pools import begin_occupancy
from whywait.tracer.hotpath.thread_state import enter_job, leave_untraced, worker_here
from whywait.tracer.records.background import BackgroundJob
from whywait.tracer.records.current import ACTIVITY, Worker, current_activity
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Activity, Job, Pool

NO_QUEUE_NS = 20_000  # off CPU for less: the run queue is not read
NO_QUEUE_OF_MANY_NS = 1_000_000  # the same of a worker between two jobs, in a request that sums most of them
JOB_ON_CPU_NS = 20_000  # shorter jobs, and stretches between two, count as on CPU throughout
RESTED_NS = 30_000_000  # after which the sampler may sample a thread less often
_PLAINLY = (FunctionType, type)  # of callables that stand for themselves


def make_job(pool: Pool, function: Callable[..., Any], args: tuple[Any, ...]) -> Job | None:
    """Return a job of this thread's current activity; None outside any request."""
    spawner = current_activity()
    return job_of(spawner, perf_counter_ns(), current_span_id(), pool, function, args) if spawner is not None else None


def job_of(
    spawner: Activity, born_ns: int, parent_id: int, pool: Pool, function: Callable[..., Any], args: tuple[Any, ...]
) -> Job | None:
    """Return a job that an activity gave to a pool; None where its request has as many records as may be kept."""
    request = spawner.request
    if not request.take():
        return None
    job = Job(request, spawner, born_ns, parent_id)
    job.name, job.code = describe(function, args)
    job.pool = pool
    job.pool_age_ns = born_ns - pool.made_ns if pool.made_ns else -1
    request.activities.append(job)
    return job


def timed_initializer(
    plain: Callable[..., Any], initializer_of: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """Return the same initializer; its duration, in ns, goes to the first job of its thread.

    `initializer_of` finds, from the arguments of `plain`, the initializer that `plain` calls, or None.
    """

    @functools.wraps(plain)
    def initialize(*args: Any, **kwargs: Any) -> Any:
        start_ns = perf_counter_ns()
        try:
            return plain(*args, **kwargs)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            named = plain if initializer_of is None else initializer_of(*args)
            if named is not None and recorders.active is not None:
                worker_here().initialized = describe(named)[0], perf_counter_ns() - start_ns

    return initialize


def run_job(
    pool: Pool, job: Job | None, held: Occupancy, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """What a worker runs instead of the function: the same call, between two readings of the clocks."""
    if job is None:
        start_ns = perf_counter_ns()
        thread_id = threading.get_native_id()
        begin_occupancy(pool, held, thread_id, start_ns)
        worker = worker_here()
        cpu, before_ns = worker.cpu, worker.run_queue_ns
        if before_ns is None:  # its thread is new
            before_ns = run_queue_ns() or 0
        used_ns = cpu.read(start_ns)
        before = enter_job(None)
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            held.end_ns = perf_counter_ns()
            _rest(held.end_ns)
            used_ns, queued_ns = cpu.cpu_ns - used_ns, max((worker.run_queue_ns or 0) - before_ns, 0)
            ended = BackgroundJob(held.name, held.code, start_ns, held.end_ns, used_ns, queued_ns, thread_id)
            leave_untraced(before, ended)
            # the frames of an exception refer to this one: it must not keep the arguments alive
            function = args = kwargs = None  # type: ignore[assignment]
    token = _enter(pool, job, held, function)
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        job.outcome = "error"
        take_this_frame_out(error)
        raise
    finally:
        _leave(job, held, token)
        function = args = kwargs = None  # type: ignore[assignment]


def run_with_token(
    pool: Pool, job: Job | None, held: Occupancy, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """`run_job` of a job that was made before its spawner had a token of the pool: it is born in the spawner's step after."""
    spawner = job.spawner if job is not None else None
    if job is not None and spawner is not None and spawner.step_start_ns > job.born_ns:
        job.born_ns = spawner.step_start_ns
    try:
        return run_job(pool, job, held, function, *args, **kwargs)
    except BaseException as error:
        take_this_frame_out(error)
        raise
    finally:
        function = args = kwargs = None  # type: ignore[assignment]


def _enter(pool: Pool, job: Job, held: Occupancy, function: Callable[..., Any]) -> Any:
    worker = worker_here()
    rested = take_over(worker, job)
    thread = worker.thread or thread_here(worker)
    job.thread_id = thread.native_id or 0
    job.thread_name = thread.name
    if rested:
        woke(job.thread_id)
    enter_job(job)
    request = job.request
    span = StandIn(request.trace_id, job.run_id, request.sampled_flags, request.trace_state)
    if type(function) not in _PLAINLY:
        carry(function, job, span)
    token = enter(span)
    worker.cpu.at_ns = job.start_ns = perf_counter_ns()  # the time before is whywait's
    begin_occupancy(pool, held, job.thread_id, job.start_ns)
    return token


def take_over(worker: Worker, job: Job) -> bool:
    """Read the clocks as the worker begins the job; return whether it was idle for long."""
    if worker.initialized is not None:
        job.initialized, worker.initialized = worker.initialized, None
    now = perf_counter_ns()
    since_ns, idle_cpu, before = worker.idle_since_ns, worker.cpu.cpu_ns, worker.run_queue_ns
    if not since_ns:
        job.run_queue_ns = run_queue_ns()
        job.step_cpu_ns = worker.cpu.read(now)
        return True
    job.idle_since_ns = since_ns
    idle_ns = now - since_ns
    request = job.request
    least_ns = NO_QUEUE_NS if request.records_left >= request.sums_from else NO_QUEUE_OF_MANY_NS
    # below that, it came from its job before
    run_queue = job.run_queue_ns = run_queue_ns() if idle_ns >= least_ns else before
    job.step_cpu_ns = worker.cpu.at(now, JOB_ON_CPU_NS)
    job.handover_cpu_ns = job.step_cpu_ns - idle_cpu
    if run_queue is not None and before is not None:
        job.handover_run_queue_ns = run_queue - before
    return idle_ns >= RESTED_NS


def woke(thread_id: int) -> None:
    """A worker that was idle for long has a job."""
    recorder = recorders.active
    if recorder is not None and recorder.sampler is not None:
        recorder.sampler.woke(thread_id)


def carry(function: Callable[..., Any], job: Job, span: StandIn) -> None:
    """Make the job and its span the current ones in the context in which the function will run, if it carries one."""
    carried = carried_context(function)
    if carried is not None:
        with suppress(RuntimeError):  # the context is entered elsewhere, so it is not to_thread's: leave it unchanged
            carried.run(_set_current, job, span)


def thread_here(worker: Worker) -> threading.Thread:
    thread, lasts = lasting_thread()
    if lasts:
        worker.thread = thread
    return thread


def _set_current(job: Job, span: StandIn) -> None:
    ACTIVITY.set(job)
    enter(span)


def _leave(job: Job, held: Occupancy, token: Any) -> None:
    end_ns = perf_counter_ns()
    worker = worker_here()
    used_ns = job.cpu_ns = worker.cpu.at(end_ns, JOB_ON_CPU_NS) - job.step_cpu_ns
    held.end_ns = job.done_ns = job.end_ns = job.stop_ns = end_ns
    before = run_queue = job.run_queue_ns
    if end_ns - job.start_ns - used_ns >= NO_QUEUE_NS:  # else nearly throughout on the CPU
        run_queue = run_queue_ns()
    job.run_queue_ns = run_queue - before if run_queue is not None and before is not None else None
    pool = job.pool
    if pool is not None and job.request.open:
        pool.last_job = job
    leave(token)
    worker.idle_since_ns, worker.run_queue_ns = end_ns, run_queue
    # `here.current` stays the job: the worker now delivers this job's result


def _rest(end_ns: int) -> None:
    worker = worker_here()
    worker.cpu.read(end_ns)
    worker.idle_since_ns, worker.run_queue_ns = end_ns, run_queue_ns()
