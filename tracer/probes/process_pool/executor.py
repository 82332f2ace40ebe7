"""Every `ProcessPoolExecutor`, as seen from the parent: submit, the turn of each job, and its result.

The wait for a worker is inferred from the order of submission. What lies between the parent's threads and the
worker is timed in `process_transfer`; the worker is not touched: the parent reads its clocks when a job begins
and when its result comes, and the sampler looks at what it waits in meanwhile.
"""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib.util import find_spec
from time import perf_counter_ns
from typing import Any

from whywait.tracer.host.code_location import caller_place
from whywait.tracer.host.identity_map import ByIdentity
from whywait.tracer.hotpath.jobs import make_job
from whywait.tracer.hotpath.pools import occupancy_of, pool_of
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.thread_state import begin_wait, deliver, end_wait
from whywait.tracer.hotpath.thread_waits import waiter_here
from whywait.tracer.probes.process_pool.pool_state import ProcessLine
from whywait.tracer.probes.process_pool.transfer import PROBE, Transfer
from whywait.tracer.probes.process_pool.worker_slots import Entry
from whywait.tracer.probes.threads.thread_pool import JOB_ATTRIBUTE, record_shutdown, record_startup
from whywait.tracer.records.current import here

NAME = "processes"


def available() -> bool:
    """Whether this platform has process pools."""
    return find_spec("_multiprocessing") is not None


def install() -> Callable[[], None]:
    """Wraps `__init__`, `submit`, `shutdown`, the start of a process and what moves jobs; returns the undo."""
    from concurrent.futures import process

    executor_class: Any = process.ProcessPoolExecutor
    chunk_function = getattr(process, "_process_chunk", None)
    plain_init, plain_submit = executor_class.__init__, executor_class.submit
    plain_shutdown = executor_class.shutdown
    plain_spawn = executor_class._spawn_process
    lines: ByIdentity[ProcessLine] = ByIdentity()
    transfer = Transfer()

    def line_of(executor: Any) -> ProcessLine:
        found = lines.get(executor)
        if found is None:
            pool = pool_of(executor, NAME, executor._max_workers)
            pool.of_processes = True
            found = ProcessLine(executor, pool)
            lines.set(executor, found)
            transfer.attach(executor, found)
        return found

    @functools.wraps(plain_init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain_init(self, *args, **kwargs)
        try:
            pool_of(self, NAME, self._max_workers, new=True)
            line_of(self)
        except Exception as error:
            probe_failed(PROBE, error)

    @functools.wraps(plain_submit)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        try:
            line = line_of(self)
            named = fn
            if isinstance(fn, functools.partial) and fn.func is chunk_function and fn.args:
                named = fn.args[0]  # what `map` was given
            job = make_job(line.pool, named, args)
            entry = Entry(job, occupancy_of(line.pool, job, named, args))
            if entry.passage is not None:
                entry.passage.line = line
                entry.passage.submitted_at = caller_place()
            transfer.submitting(entry, functools.partial(_enter, line, entry))
        except Exception as error:
            probe_failed(PROBE, error)
            return plain_submit(self, fn, *args, **kwargs)  # type: ignore[no-any-return]
        try:
            future: Future[Any] = plain_submit(self, fn, *args, **kwargs)
        except BaseException:  # the pool refused it: there was no job
            transfer.submitted()
            line.slots.leave(entry, perf_counter_ns())
            if job is not None:
                job.request.activities.remove(job)
            raise
        if transfer.submitted():  # a process was started first
            line.slots.born(entry, perf_counter_ns())
        return future

    @functools.wraps(plain_shutdown)
    def shutdown(self: Any, wait: bool = True, **kwargs: Any) -> None:
        activity = waiter_here() if wait else None
        if activity is None:
            plain_shutdown(self, wait, **kwargs)
            return
        start_ns = perf_counter_ns()
        inside = begin_wait()
        try:
            plain_shutdown(self, wait, **kwargs)
        finally:
            end_wait(inside)
            try:
                record_shutdown(activity, pool_of(self, NAME, self._max_workers), start_ns)
            except Exception as error:
                probe_failed(PROBE, error)

    @functools.wraps(plain_spawn)
    def _spawn_process(self: Any) -> None:
        activity = waiter_here()
        start_ns = perf_counter_ns()
        inside = begin_wait() if activity is not None else here.waiting
        try:
            plain_spawn(self)
        finally:
            transfer.started_process()
            try:
                line = line_of(self)
                line.note_spawned()
                if activity is not None:
                    end_wait(inside)
                    record_startup(activity, line.pool, start_ns, perf_counter_ns())
            except Exception as error:
                probe_failed(PROBE, error)

    executor_class.__init__, executor_class.submit = __init__, submit
    executor_class.shutdown, executor_class._spawn_process = shutdown, _spawn_process

    def undo() -> None:
        transfer.undo()
        for line in lines.values():
            line.clocks.close()
        executor_class.__init__, executor_class.submit = plain_init, plain_submit
        executor_class.shutdown, executor_class._spawn_process = plain_shutdown, plain_spawn

    return undo


def _enter(line: ProcessLine, entry: Entry, future: "Future[Any]") -> None:
    """Before any thread of the pool can see the job: a worker may be done with it before `submit` returns."""
    now = perf_counter_ns()
    job = entry.job
    if job is not None:
        setattr(future, JOB_ATTRIBUTE, job)
        job.born_ns = now
    future.add_done_callback(functools.partial(_done, line, entry))
    if line.slots.enter(entry, now):
        line.pool.occupancies.append(entry.held)


def _done(line: ProcessLine, entry: Entry, future: "Future[Any]") -> None:
    """The first callback of the future: those after it wake who waited for the job."""
    try:
        now = perf_counter_ns()
        job = entry.job
        by_manager = type(threading.current_thread()).__name__ == "_ExecutorManagerThread"
        came, line.came = (line.came, None) if by_manager else (None, line.came)
        if came is None:
            following = line.slots.leave(entry, now)
        else:
            following = line.slots.came(entry, came.end.at_ns, came.length, came.readings)
            if entry.passage is not None:
                entry.passage.receiving = came.begin.until(came.end)
                entry.passage.unpickling = came.end.until(came.end.next())
        if following is not None:
            line.pool.occupancies.append(following.held)
        given_up = future.cancelled()
        if job is not None:
            job.done_ns = job.end_ns = job.stop_ns = now
            if given_up:
                job.start_ns = 0
                job.outcome = "cancelled"
            elif future._exception is not None:
                job.outcome = "error"
            line.pool.last_job = job
        # what the manager's thread now does, it does to deliver this job's result
        if not given_up and by_manager:
            deliver(job)
    except Exception as error:
        probe_failed(PROBE, error)
