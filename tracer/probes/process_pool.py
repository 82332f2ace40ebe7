"""Every `ProcessPoolExecutor`, as seen from the parent: submit, the turn of each job, and its result.

What a job's process does is not looked at: the wait for a worker is inferred from the order of submission,
the CPU from the workers' clocks; pickling, transfer and what a new process does before its first job lie
within the job. The start of a process is timed where `submit` makes it.
"""

import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from importlib.util import find_spec
from time import perf_counter_ns
from typing import Any
from weakref import ref

from tracer.by_identity import ByIdentity
from tracer.jobs import make_job, occupancy_of, pool_of
from tracer.probes.executor import JOB_ATTRIBUTE, record_shutdown, record_startup
from tracer.process_slots import Entry, ProcessSlots
from tracer.recorder import probe_failed
from tracer.records import Pool, here
from tracer.thread_waits import waiter_here

NAME = "processes"


def available() -> bool:
    """Whether this platform has process pools."""
    return find_spec("_multiprocessing") is not None


def install() -> Callable[[], None]:
    """Wraps `__init__`, `submit`, `shutdown` and the start of a process; returns the undo."""
    from concurrent.futures import process

    executor_class: Any = process.ProcessPoolExecutor
    chunk_function = getattr(process, "_process_chunk", None)
    plain_init, plain_submit = executor_class.__init__, executor_class.submit
    plain_shutdown = executor_class.shutdown
    plain_spawn = executor_class._spawn_process
    slots_of: ByIdentity[ProcessSlots] = ByIdentity()

    def slots(executor: Any) -> ProcessSlots:
        found = slots_of.get(executor)
        if found is None:
            found = ProcessSlots(executor._max_workers, _cpu_clock(executor))
            slots_of.set(executor, found)
        return found

    @functools.wraps(plain_init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain_init(self, *args, **kwargs)
        try:
            pool_of(self, NAME, self._max_workers, new=True).of_processes = True
        except Exception as error:
            probe_failed("process pool", error)

    @functools.wraps(plain_submit)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        try:
            pool = pool_of(self, NAME, self._max_workers)
            pool.of_processes = True
            named = fn
            if isinstance(fn, functools.partial) and fn.func is chunk_function and fn.args:
                named = fn.args[0]  # what `map` was given
            job = make_job(pool, named, args)
            entry = Entry(job, occupancy_of(pool, job, named, args))
            turns = slots(self)
        except Exception as error:
            probe_failed("process pool", error)
            return plain_submit(self, fn, *args, **kwargs)  # type: ignore[no-any-return]
        try:
            future: Future[Any] = plain_submit(self, fn, *args, **kwargs)
        except BaseException:
            if job is not None:  # the pool refused it: there was no job
                job.request.activities.remove(job)
            raise
        try:
            if job is not None:
                setattr(future, JOB_ATTRIBUTE, job)
            now = perf_counter_ns()
            if job is not None:
                job.born_ns = now  # until here a process may have been started, which is told apart
            if turns.enter(entry, now):
                pool.occupancies.append(entry.held)
            future.add_done_callback(functools.partial(_done, turns, pool, entry))
        except Exception as error:
            probe_failed("process pool", error)
        return future

    @functools.wraps(plain_shutdown)
    def shutdown(self: Any, wait: bool = True, **kwargs: Any) -> None:
        activity = waiter_here() if wait else None
        if activity is None:
            plain_shutdown(self, wait, **kwargs)
            return
        start_ns = perf_counter_ns()
        here.waiting = True
        try:
            plain_shutdown(self, wait, **kwargs)
        finally:
            here.waiting = False
            try:
                record_shutdown(activity, pool_of(self, NAME, self._max_workers), start_ns)
            except Exception as error:
                probe_failed("process pool", error)

    @functools.wraps(plain_spawn)
    def _spawn_process(self: Any) -> None:
        activity = waiter_here()
        if activity is None:
            plain_spawn(self)
            return
        start_ns = perf_counter_ns()
        here.waiting = True
        try:
            plain_spawn(self)
        finally:
            here.waiting = False
            try:
                end_ns = perf_counter_ns()
                record_startup(activity, pool_of(self, NAME, self._max_workers), start_ns, end_ns)
            except Exception as error:
                probe_failed("process pool", error)

    executor_class.__init__, executor_class.submit = __init__, submit
    executor_class.shutdown, executor_class._spawn_process = shutdown, _spawn_process

    def undo() -> None:
        executor_class.__init__, executor_class.submit = plain_init, plain_submit
        executor_class.shutdown, executor_class._spawn_process = plain_shutdown, plain_spawn

    return undo


def _done(turns: ProcessSlots, pool: Pool, entry: Entry, future: "Future[Any]") -> None:
    """The first callback of the future: those after it wake who waited for the job."""
    try:
        now = perf_counter_ns()
        job = entry.job
        following = turns.leave(entry, now)
        if following is not None:
            pool.occupancies.append(following.held)
        given_up = future.cancelled()
        if job is not None:
            job.done_ns = job.end_ns = job.stop_ns = now
            if given_up:
                job.start_ns = 0
                job.outcome = "cancelled"
            elif future._exception is not None:
                job.outcome = "error"
            pool.last_job = job
        # what the manager's thread now does, it does to deliver this job's result
        if not given_up and type(threading.current_thread()).__name__ == "_ExecutorManagerThread":
            here.current = job
    except Exception as error:
        probe_failed("process pool", error)


def _cpu_clock(executor: Any) -> Callable[[], int]:
    """CPU time of all the pool's processes that live, in ns; one that ended takes its own with it."""
    executor_ref = ref(executor)
    last: dict[int, int] = {}

    def read() -> int:
        owner = executor_ref()
        processes = getattr(owner, "_processes", None) if owner is not None else None
        for process_id in list(processes or ()):
            try:
                last[process_id] = time.clock_gettime_ns(
                    (~process_id << 3) | 2
                )  # Linux: see clock_getcpuclockid
            except OSError:
                continue
        return sum(last.values())

    return read
