"""Every `ProcessPoolExecutor`, as seen from the parent: `process_queue` infers the wait for a worker, `transfer`
times what lies between. The worker is not touched: its clocks are read, and the sampler sees what it waits in."""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib.util import find_spec
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.host.code_location import caller_place
from whywait.tracer.host.identity_map import ByIdentity
from whywait.tracer.hotpath.jobs import make_job
from whywait.tracer.hotpath.pools import occupancy_of, pool_of
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.thread_state import begin_wait, deliver, end_wait
from whywait.tracer.hotpath.thread_waits import waiter_here
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo
from whywait.tracer.probes.process_pool.process_queue import Entry, ProcessQueue
from whywait.tracer.probes.process_pool.transfer import PROBE, Transfer
from whywait.tracer.probes.threads.thread_pool import JOB_ATTRIBUTE, record_startup, timed_shutdown
from whywait.tracer.records.current import here
from whywait.tracer.records.process_job import Passage

name: Final = PROBE
needs: Final = (
    "concurrent.futures._base.Future._exception",
    "concurrent.futures.process.ProcessPoolExecutor._call_queue",
    "concurrent.futures.process.ProcessPoolExecutor._max_workers",
    "concurrent.futures.process.ProcessPoolExecutor._result_queue",
    "concurrent.futures.process.ProcessPoolExecutor._spawn_process",
    "concurrent.futures.process._CallItem",
    "concurrent.futures.process._WorkItem",
    "multiprocessing.connection.Connection._recv_bytes",
    "multiprocessing.connection.Connection._send_bytes",
    "multiprocessing.queues.Queue._reader",
    "multiprocessing.queues.Queue._writer",
    "multiprocessing.queues._ForkingPickler",
)
NAME = "processes"


def available() -> bool:
    return find_spec("_multiprocessing") is not None


def install(_: Session) -> Undo:
    """Wraps `__init__`, `submit`, `shutdown`, the start of a process and what moves jobs; returns the undo."""
    from concurrent.futures import process

    executor_class: Any = process.ProcessPoolExecutor
    plain_init, plain_submit = executor_class.__init__, executor_class.submit
    plain_spawn = executor_class._spawn_process
    queues: ByIdentity[ProcessQueue] = ByIdentity()
    transfer = Transfer(functools.partial(_enter, getattr(process, "_process_chunk", None)))

    def queue_of(executor: Any) -> ProcessQueue:
        found = queues.get(executor)
        if found is None:
            pool = pool_of(executor, NAME, executor._max_workers)
            pool.of_processes = True
            found = ProcessQueue(executor, pool)
            queues.set(executor, found)
            transfer.attach(executor, found)
        return found

    @functools.wraps(plain_init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain_init(self, *args, **kwargs)
        try:
            pool_of(self, NAME, self._max_workers, new=True)
            queue_of(self)
        except Exception as error:
            probe_failed(PROBE, error)

    @functools.wraps(plain_submit)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        submitting = transfer.here
        try:
            submitting.submitting_to, submitting.entry, submitting.started = queue_of(self), None, False
        except Exception as error:
            probe_failed(PROBE, error)
        try:
            return plain_submit(self, fn, *args, **kwargs)  # type: ignore[no-any-return]
        finally:
            entry, submitting.entry, submitting.submitting_to = submitting.entry, None, None
            if entry is not None and submitting.started:  # a process was started first
                queue_of(self).started_first(entry, perf_counter_ns())

    @functools.wraps(plain_spawn)
    def _spawn_process(self: Any) -> None:
        activity = waiter_here()
        start_ns = perf_counter_ns()
        inside = begin_wait() if activity is not None else here.waiting
        try:
            plain_spawn(self)
        finally:
            transfer.here.started = True
            try:
                queue = queue_of(self)
                queue.note_processes()
                if activity is not None:
                    end_wait(inside)
                    record_startup(activity, queue.pool, start_ns, perf_counter_ns())
            except Exception as error:
                probe_failed(PROBE, error)

    def close_clocks() -> None:
        for queue in queues.values():
            queue.clocks.close()

    patches = Patches()
    patches.add("workers' clocks", close_clocks)
    patches.add("the way of jobs to workers", transfer.undo)
    patches.replace(executor_class, "__init__", __init__)
    patches.replace(executor_class, "submit", submit)
    patches.replace(executor_class, "shutdown", timed_shutdown(executor_class.shutdown, lambda _: NAME, PROBE))
    patches.replace(executor_class, "_spawn_process", _spawn_process)
    return patches.undo


def _enter(
    chunk_function: Any, queue: ProcessQueue, future: "Future[Any]", fn: Callable[..., Any], args: tuple[Any, ...]
) -> Entry:  # fmt: skip
    if isinstance(fn, functools.partial) and fn.func is chunk_function and fn.args:
        fn = fn.args[0]  # what `map` was given
    job = make_job(queue.pool, fn, args)
    now = perf_counter_ns()
    passage = Passage(queue.calls, caller_place() if job is not None else None)
    if job is not None:
        job.passage, job.born_ns = passage, now
        setattr(future, JOB_ATTRIBUTE, job)
    entry = Entry(job, occupancy_of(queue.pool, job, fn, args), passage)
    future.add_done_callback(functools.partial(_done, queue, entry))
    queue.enter(entry, now)
    return entry


def _done(queue: ProcessQueue, entry: Entry, future: "Future[Any]") -> None:
    """The first callback of the future: those after it wake who waited for the job."""
    try:
        now = perf_counter_ns()
        job = entry.job
        by_manager = type(threading.current_thread()).__name__ == "_ExecutorManagerThread"
        came = queue.came if by_manager else None
        if came is not None:
            queue.came = None
            entry.passage.unpickling = came.end.until(came.end.next())
            entry.passage.manager_id = threading.get_native_id()
        queue.leave(entry, came.end.at_ns if came is not None else now, came)
        if job is None:
            return
        job.done_ns = job.end_ns = job.stop_ns = now
        if future.cancelled():
            job.start_ns = 0
            job.outcome = "cancelled"
        elif future._exception is not None:
            job.outcome = "error"
        queue.pool.last_job = job
        # the manager's thread now delivers this job's result
        if by_manager and not future.cancelled():
            deliver(job)
    except Exception as error:
        probe_failed(PROBE, error)
