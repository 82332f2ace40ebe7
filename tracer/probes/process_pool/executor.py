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
from whywait.tracer.probes.process_pool.process_queue import ProcessQueue
from whywait.tracer.probes.process_pool.transfer import PASSAGE_ATTRIBUTE, PROBE, Transfer
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
    "concurrent.futures.process._SafeQueue.pending_work_items",
    "concurrent.futures.process._WorkItem",
    "multiprocessing.connection.Connection._recv_bytes",
    "multiprocessing.connection.Connection._send_bytes",
    "multiprocessing.queues.Queue._reader",
    "multiprocessing.queues.Queue._writer",
)
NAME = "processes"
Way = tuple[ProcessQueue, Transfer]


class _Submitting(threading.local):
    to: Way | None = None
    passage: Passage | None = None  # of what was submitted


def available() -> bool:
    return find_spec("_multiprocessing") is not None


def install(_: Session) -> Undo:
    """Wraps `__init__`, `submit`, `shutdown`, the start of a process and what moves jobs; returns the undo."""
    from concurrent.futures import process

    executor_class: Any = process.ProcessPoolExecutor
    plain_init, plain_submit = executor_class.__init__, executor_class.submit
    plain_spawn, plain_item = executor_class._spawn_process, process._WorkItem
    chunk_function = getattr(process, "_process_chunk", None)
    ways: ByIdentity[Way] = ByIdentity()
    submitting = _Submitting()

    def way_of(executor: Any) -> Way:
        found = ways.get(executor)
        if found is None:
            pool = pool_of(executor, NAME, executor._max_workers)
            pool.of_processes = True
            queue = ProcessQueue(executor, pool)
            found = queue, Transfer(executor, queue)
            ways.set(executor, found)
        return found

    @functools.wraps(plain_init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain_init(self, *args, **kwargs)
        try:
            pool_of(self, NAME, self._max_workers, new=True)
            way_of(self)
        except Exception as error:
            probe_failed(PROBE, error)

    @functools.wraps(plain_submit)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        try:
            submitting.to = way_of(self)
        except Exception as error:
            probe_failed(PROBE, error)
        try:
            return plain_submit(self, fn, *args, **kwargs)  # type: ignore[no-any-return]
        finally:
            submitting.to = submitting.passage = None

    @functools.wraps(plain_item, updated=())
    def work_item(future: Any, fn: Any, args: Any, kwargs: Any) -> Any:
        made = plain_item(future, fn, args, kwargs)
        way, submitting.to = submitting.to, None
        if way is not None:  # now, before any thread of the pool can see it: it may be done in no time
            try:
                if isinstance(fn, functools.partial) and fn.func is chunk_function and fn.args:
                    fn = fn.args[0]  # what `map` was given
                submitting.passage = _enter(way, future, fn, args)
            except Exception as error:
                probe_failed(PROBE, error)
        return made

    @functools.wraps(plain_spawn)
    def _spawn_process(self: Any) -> None:
        activity = waiter_here()
        start_ns = perf_counter_ns()
        inside = begin_wait() if activity is not None else here.waiting
        try:
            plain_spawn(self)
        finally:
            try:
                queue, _ = way_of(self)
                queue.note_processes()
                now = perf_counter_ns()
                if submitting.passage is not None:
                    queue.started_first(submitting.passage, now)
                if activity is not None:
                    end_wait(inside)
                    record_startup(activity, queue.pool, start_ns, now)
            except Exception as error:
                probe_failed(PROBE, error)

    def take_out() -> None:
        for queue, transfer in ways.values():
            queue.clocks.close()
            transfer.undo()

    patches = Patches()
    patches.add("workers' clocks and the way of jobs to workers", take_out)
    patches.replace(process, "_WorkItem", work_item)
    patches.replace(executor_class, "__init__", __init__)
    patches.replace(executor_class, "submit", submit)
    patches.replace(executor_class, "shutdown", timed_shutdown(executor_class.shutdown, lambda _: NAME, PROBE))
    patches.replace(executor_class, "_spawn_process", _spawn_process)
    return patches.undo


def _enter(way: Way, future: "Future[Any]", fn: Callable[..., Any], args: tuple[Any, ...]) -> Passage:
    queue, _ = way
    job = make_job(queue.pool, fn, args)
    now = perf_counter_ns()
    place = caller_place() if job is not None else None
    passage = Passage(queue.calls, job, occupancy_of(queue.pool, job, fn, args), place)
    if job is not None:
        job.passage, job.born_ns = passage, now
        setattr(future, JOB_ATTRIBUTE, job)
    setattr(future, PASSAGE_ATTRIBUTE, passage)
    future.add_done_callback(functools.partial(_done, way, passage))
    queue.enter(passage, now)
    return passage


def _done(way: Way, passage: Passage, future: "Future[Any]") -> None:
    """The first callback of the future: those after it wake who waited for the job."""
    try:
        now = perf_counter_ns()
        queue, transfer = way
        came, end = transfer.take_came()
        if end is not None:
            passage.unpickling = end.until(end.next())
        transfer.give_up(passage)
        queue.leave(passage, end.at_ns if end is not None else now, came)
        job, passage.job = passage.job, None  # they would keep each other
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
        if type(threading.current_thread()).__name__ == "_ExecutorManagerThread" and not future.cancelled():
            deliver(job)
    except Exception as error:
        probe_failed(PROBE, error)
