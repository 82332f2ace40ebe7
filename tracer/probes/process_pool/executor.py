"""Every `ProcessPoolExecutor`: its jobs as they go by in threads of this process. The wait for a worker is inferred, see
`process_queue`; the worker is not touched, and nothing is added to what is pickled.

One thread pickles the calls and sends them, in the order in which they were put: it pickles from when a call was put, or
the one before was sent, until it sends."""

import functools
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import suppress
from time import perf_counter_ns, thread_time_ns
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from whywait.tracer.host.code_location import caller_place
from whywait.tracer.host.identity_map import ByIdentity
from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath.core import make_job
from whywait.tracer.hotpath.pools import occupancy_of, pool_of
from whywait.tracer.hotpath.recorder import safely
from whywait.tracer.hotpath.thread_state import deliver
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.probes.process_pool.process_queue import Came, ProcessQueue, has_worker_since
from whywait.tracer.probes.threads.thread_pool import JOB_ATTRIBUTE, start_worker, timed_shutdown
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.process_job import Part, Passage
from whywait.tracer.schema import OUTCOME_CANCELLED, PICKLING, POOL_NAME_PROCESSES

name: Final = "process pool"
available: Final = always
_OF_EXECUTOR = "_call_queue", "_max_workers", "_result_queue", "_spawn_process", "_work_ids"
needs: Final = (
    *(f"concurrent.futures.process.ProcessPoolExecutor.{one}" for one in _OF_EXECUTOR),
    "concurrent.futures._base.Future._exception", "concurrent.futures.process._SafeQueue.pending_work_items",
    "multiprocessing.connection.Connection._recv_bytes", "multiprocessing.connection.Connection._send_bytes",
    "multiprocessing.queues.Queue._reader", "multiprocessing.queues.Queue._writer",
)  # fmt: skip
Stamps = Generator[None, Any, None]  # what is done before a call, and after it, which may be given its result
Stand = tuple[int, int, int]  # the calling thread's clocks at one moment: wall, CPU, run queue


def install(_: Session) -> Undo:
    from concurrent.futures import process

    executor_class: Any = process.ProcessPoolExecutor
    plain_init, plain_submit, plain_spawn = map(vars(executor_class).get, ("__init__", "submit", "_spawn_process"))
    ways: ByIdentity[Way] = ByIdentity()

    def way_of(executor: Any, *, new: bool = False) -> Way:
        found = ways.get(executor)
        if found is None:
            pool = pool_of(executor, POOL_NAME_PROCESSES, executor._max_workers, new=new)
            pool.of_processes = True
            found = Way(executor, ProcessQueue(executor, pool))
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
    def _spawn_process(self: Any) -> None:
        start_worker(plain_spawn, self, lambda _: POOL_NAME_PROCESSES, name)
        safely(name, lambda: way_of(self).has_started())

    def take_out() -> None:
        for way in ways.values():
            way.undo()

    patches = Patches()
    patches.add("the way of jobs to workers", take_out)
    patches.replace(executor_class, "__init__", __init__)
    patches.replace(executor_class, "submit", submit)
    patches.replace(
        executor_class, "shutdown", timed_shutdown(executor_class.shutdown, lambda _: POOL_NAME_PROCESSES, name)
    )
    patches.replace(executor_class, "_spawn_process", _spawn_process)
    return patches.undo


def _stand() -> Stand:
    return perf_counter_ns(), thread_time_ns(), run_queue_ns() or 0


def _part(begin: Stand, end: Stand, since_ns: int = 0) -> Part:
    """What the calling thread did between the two; it idled until `since_ns`."""
    (_, used_ns, queued_ns), (end_ns, until_used_ns, until_queued_ns) = begin, end
    run_queue_ns = max(until_queued_ns - queued_ns, 0)
    return Part(threading.get_native_id(), max(begin[0], since_ns), end_ns, until_used_ns - used_ns, run_queue_ns)


class Way:
    """Stamps the jobs of one pool, until `undo`."""

    def __init__(self, executor: Any, queue: ProcessQueue) -> None:
        self.queue = queue
        self._submitted: tuple[int, Passage] | None = None  # by which thread, the latest
        self._put: deque[Passage] = deque()  # calls that were not sent yet
        self._sent: Stand = 0, 0, 0  # the sending thread begins with nothing
        self._came: tuple[Came, Stand] | None = None  # the latest, until it is known whose it is; when it had come
        self._patched: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        calls, results = executor._call_queue, executor._result_queue
        if calls is None or results is None:  # it was shut down
            return
        self._items = calls.pending_work_items
        for owner, attribute, stamps in (
            (executor._work_ids, "put", self._submits),
            (calls, "put", self._puts),
            (calls._writer, "_send_bytes", self._sends),
            (results._reader, "_recv_bytes", self._receives),
        ):
            # a connection is closed when the last reference to it goes
            stamped = functools.partial(_stamped, stamps, getattr(type(owner), attribute), ref(owner))
            setattr(owner, attribute, stamped)  # of the instance: they are pickled by what they consist of alone
            self._patched[owner] = attribute

    def undo(self) -> None:
        self.queue.clocks.close()
        for owner, attribute in self._patched.items():
            vars(owner).pop(attribute, None)

    # --- on the thread that submits: no thread of the pool can see the job yet, which may be done in no time -------
    def _submits(self, number: int) -> Stamps:
        item, queue = self._items[number], self.queue
        job = make_job(queue.pool, item.fn, item.args)
        now = perf_counter_ns()
        held = occupancy_of(queue.pool, job, item.fn, item.args)
        passage = Passage(queue.calls, job, held, caller_place() if job is not None else None)
        if job is not None:
            job.passage, job.born_ns = passage, now
            setattr(item.future, JOB_ATTRIBUTE, job)
        item.whywait_passage = passage  # what is pickled is another item
        self._submitted = threading.get_native_id(), passage
        item.future.add_done_callback(functools.partial(safely, name, self._done, passage))
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

    # --- on the manager's thread ------------------------------------------------------------------------------------
    def _puts(self, call: Any, *_: Any, **__: Any) -> Stamps:
        passage = getattr(self._items.get(getattr(call, "work_id", -1)), "whywait_passage", None)
        if passage is not None:
            self._put.append(passage)
            yield
            passage.put_ns = perf_counter_ns()
            passage.calls.put_ns.append(passage.put_ns)

    def _receives(self, *_: Any) -> Stamps:
        self._came = None
        if self.queue.busy:
            begin = _stand()
            received = yield
            size, end = received.tell(), _stand()
            length = size + (4 if size <= 0x7FFFFFFF else 12)  # in the pipe
            self._came = (_part(begin, end), length, self.queue.clocks.read()), end

    def _done(self, passage: Passage, future: "Future[Any]") -> None:
        """The first callback of the future: those after it wake who waited for the job."""
        now = perf_counter_ns()
        by_manager = type(threading.current_thread()).__name__ == "_ExecutorManagerThread"
        came, came_ns = None, now
        if by_manager and self._came is not None:
            (came, end), self._came = self._came, None
            passage.unpickling, came_ns = _part(end, _stand()), end[0]
        with suppress(ValueError):
            self._put.remove(passage)  # where it could not be pickled
        self.queue.leave(passage, came_ns, came)
        job, passage.job = passage.job, None  # they would keep each other
        if job is None:
            return
        job.done_ns = job.end_ns = job.stop_ns = now
        if future.cancelled():
            job.start_ns, job.outcome = 0, OUTCOME_CANCELLED
        elif future._exception is not None:
            job.outcome = "error"
        if job.request.open:
            self.queue.pool.last_job = job
        if by_manager and not future.cancelled():  # it now delivers this job's result
            deliver(job)

    # --- on the thread that pickles ---------------------------------------------------------------------------------
    def _sends(self, message: Any, *_: Any) -> Stamps:
        before, begin = self._sent, _stand()
        passage = self._put.popleft() if self._put else None
        if passage is not None and (job := passage.job) is not None:
            passage.sent = len(message)
            passage.pickling = part = _part(before, begin, min(passage.put_ns or begin[0], begin[0]))
            held = Occupancy(f"{PICKLING}{job.name}", job.request.trace_id, job.span_id, job.code)
            held.start_ns, held.end_ns = part.start_ns, part.end_ns
            passage.calls.picklings.append(held)
            self.queue.sent(passage)
        yield
        self._sent = _stand()
        if passage is not None:
            passage.sending = _part(begin, self._sent)


def _stamped(stamps: Callable[..., Stamps], plain: Any, owner: "ref[Any]", *args: Any, **kwargs: Any) -> Any:
    made = safely(name, stamps, *args, **kwargs)
    safely(name, _go_on, made, None)
    try:
        result = plain(owner(), *args, **kwargs)
    except BaseException as error:
        take_this_frame_out(error)
        raise
    safely(name, _go_on, made, result)
    return result


def _go_on(stamps: Stamps | None, result: Any) -> None:
    with suppress(StopIteration):
        if stamps is not None:
            stamps.send(result)
