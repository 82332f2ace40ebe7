"""Every `ProcessPoolExecutor`, and loky's, which joblib runs: its jobs as they go by in threads of this process, see `way`."""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.adapters.late_patches import LatePatches
from whywait.tracer.host.code_location import caller_place
from whywait.tracer.host.identity_map import ByIdentity
from whywait.tracer.hotpath.core import make_job
from whywait.tracer.hotpath.pools import occupancy_of, pool_of
from whywait.tracer.hotpath.recorder import safely
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.probes.process_pool.process_queue import ProcessQueue, has_worker_since
from whywait.tracer.probes.process_pool.way import Stamps, Way
from whywait.tracer.probes.threads.thread_pool import JOB_ATTRIBUTE, start_worker, timed_shutdown
from whywait.tracer.records.process_job import Passage
from whywait.tracer.records.request import Pool
from whywait.tracer.schema import OUTCOME_CANCELLED, POOL_NAME_PROCESSES

name: Final = "process pool"
available: Final = always
_OF_EXECUTOR = "_call_queue", "_max_workers", "_result_queue", "_spawn_process", "_work_ids"
needs: Final = (
    *(f"concurrent.futures.process.ProcessPoolExecutor.{one}" for one in _OF_EXECUTOR),
    "concurrent.futures._base.Future._exception", "concurrent.futures.process._SafeQueue.pending_work_items",
    "multiprocessing.connection.Connection._recv_bytes", "multiprocessing.connection.Connection._send_bytes",
    "multiprocessing.queues.Queue._reader", "multiprocessing.queues.Queue._writer",
)  # fmt: skip


_LOKY: Final = ("loky.process_executor.", "joblib.externals.loky.process_executor.")
_CLASS: Final = "ProcessPoolExecutor"
later: Final = tuple(f"{one}{_CLASS}._adjust_process_count" for one in _LOKY)


def install(_: Session) -> Undo:
    from concurrent.futures import process

    late = LatePatches(
        name, dict.fromkeys(f"{one}{_CLASS}" for one in _LOKY), lambda of, *_: _patched(vars(of)[_CLASS])
    )
    late.install()
    late.mark(process, _CLASS, None)
    return late.close


def _patched(executor_class: Any) -> Undo:
    starts = "_spawn_process" if "_spawn_process" in vars(executor_class) else "_adjust_process_count"
    plain_init, plain_submit, plain_spawn = map(vars(executor_class).get, ("__init__", "submit", starts))
    ways: ByIdentity[_Calls] = ByIdentity()

    def way_of(executor: Any, *, new: bool = False) -> _Calls:
        found = ways.get(executor)
        if found is None:
            found = _Calls(executor, ProcessQueue(executor, _pool_of(executor, new=new)))
            ways.set(executor, found)
        return found

    @functools.wraps(plain_init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain_init(self, *args, **kwargs)
        safely(name, way_of, self, new=True)

    @functools.wraps(plain_submit)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        safely(name, way_of, self)
        return plain_submit(self, fn, *args, **kwargs)  # type: ignore[no-any-return]

    @functools.wraps(plain_spawn)
    def start(self: Any) -> None:
        start_worker(plain_spawn, self, _pool_of, name)
        safely(name, lambda: way_of(self).has_started())

    def take_out() -> None:
        for way in ways.values():
            way.undo()

    patches = Patches()
    patches.add("the way of jobs to workers", take_out)
    patches.replace(executor_class, "__init__", __init__)
    patches.replace(executor_class, "submit", submit)
    patches.replace(executor_class, "shutdown", timed_shutdown(executor_class.shutdown, _pool_of, name))
    patches.replace(executor_class, starts, start)
    return patches.undo


def _pool_of(executor: Any, *, new: bool = False) -> Pool:
    pool = pool_of(executor, POOL_NAME_PROCESSES, executor._max_workers, new=new)
    pool.of_processes = True
    return pool


class _Calls(Way):
    """The calls of one executor. Its manager puts them into a queue with few places and takes results; a feeder pickles."""

    def __init__(self, executor: Any, queue: ProcessQueue) -> None:
        super().__init__(queue, name)
        self._submitted: tuple[int, Passage] | None = None  # by which thread, the latest
        self._passages = dict[int, Passage]()  # of the calls that have not ended
        calls, results = executor._call_queue, executor._result_queue
        if calls is None or results is None:  # it was shut down
            return
        self._items = calls.pending_work_items
        self.stamp(executor._work_ids, "put", self._submits)
        self.stamp(calls, "put", self._puts)
        self.stamp(calls._writer, "_send_bytes", self.sends)
        self.stamp(results._reader, "_recv_bytes", self.receives)

    def _submits(self, number: int) -> Stamps:
        """No thread of the pool can see the job yet, which may be done in no time."""
        item, queue = self._items[number], self.queue
        job = make_job(queue.pool, item.fn, item.args)
        now = perf_counter_ns()
        held = occupancy_of(queue.pool, job, item.fn, item.args)
        passage = Passage(queue.calls, job, held, caller_place() if job is not None else None)
        if job is not None:
            job.passage, job.born_ns = passage, now
            setattr(item.future, JOB_ATTRIBUTE, job)
        self._passages[number] = passage
        self._submitted = threading.get_native_id(), passage
        item.future.add_done_callback(functools.partial(safely, name, self._ends, number))
        queue.enter(passage, now)
        yield

    def has_started(self) -> None:
        """A process was started, maybe in the midst of a `submit`."""
        self.queue.show()
        thread_id, passage = self._submitted or (0, None)
        if passage is not None and thread_id == threading.get_native_id():
            now = perf_counter_ns()  # that was a wait of its own
            if passage.job is not None:
                passage.job.born_ns = now
            if passage.turn_ns:
                has_worker_since(passage, now)

    def _puts(self, call: Any, *_: Any, **__: Any) -> Stamps:
        passage = self._passages.get(getattr(call, "work_id", -1))
        if passage is not None:
            self.put.append(passage)
            yield
            passage.put_ns = perf_counter_ns()
            passage.calls.put_ns.append(passage.put_ns)

    def _ends(self, number: int, future: "Future[Any]") -> None:
        """The first callback of the future: those after it wake who waited for the job."""
        outcome = "error"
        if future.cancelled():
            outcome = OUTCOME_CANCELLED
        elif future._exception is None:
            outcome = "ok"
        by_manager = type(threading.current_thread()).__name__ == "_ExecutorManagerThread"
        self.done(self._passages.pop(number), outcome, here=by_manager)
