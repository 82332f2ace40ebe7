"""What lies between a process pool's `submit` and its worker: pickling, the pipe there and the pipe back, all in
threads of this process. One thread pickles the calls and sends them, in the order in which they were put: it pickles
from when a call was put, or the one before was sent, until it sends. Nothing is added to what is pickled."""

import functools
from collections import deque
from collections.abc import Callable
from threading import get_native_id
from time import perf_counter_ns, thread_time_ns
from typing import Any, NamedTuple
from weakref import ref

from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.probes.process_pool.process_queue import Came, ProcessQueue
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.process_job import Part, Passage

PROBE = "process pool"
PASSAGE_ATTRIBUTE = "_whywait_passage"  # on the host's Future
_SHORT_NS = 200_000


class Stand(NamedTuple):
    """The calling thread's clocks at one moment."""

    at_ns: int
    cpu_ns: int
    run_queue_ns: int | None

    @classmethod
    def now(cls) -> "Stand":
        return cls(perf_counter_ns(), thread_time_ns(), run_queue_ns())

    def next(self) -> "Stand":
        """Of this moment, which comes after the one before; what was short did not queue for a CPU for long."""
        now = perf_counter_ns()
        queued_ns = self.run_queue_ns if now - self.at_ns < _SHORT_NS else run_queue_ns()
        return Stand(now, thread_time_ns(), queued_ns)

    def until(self, end: "Stand", since_ns: int = 0) -> Part:
        """What the calling thread did between the two; it idled until `since_ns`."""
        queued_ns = None
        if self.run_queue_ns is not None and end.run_queue_ns is not None:
            queued_ns = end.run_queue_ns - self.run_queue_ns
        return Part(get_native_id(), max(self.at_ns, since_ns), end.at_ns, end.cpu_ns - self.cpu_ns, queued_ns)


class Transfer:
    """Stamps what goes through the pipes of one pool, until `undo`."""

    def __init__(self, executor: Any, queue: ProcessQueue) -> None:
        self._queue = queue
        self._put: deque[Passage] = deque()  # calls that were not sent yet
        self._sent = Stand(0, 0, 0)  # the sending thread begins with nothing
        self._received: Stand | None = None  # the end of what came last, until it is known whose it is
        self._came: Came | None = None
        self._patched: list[tuple[ref[Any], str]] = []
        calls, results = executor._call_queue, executor._result_queue
        if calls is None or results is None:  # it was shut down
            return
        self._patch(calls, "put", self._puts, self._is_put)
        self._patch(calls._writer, "_send_bytes", self._sends, self._is_sent)
        self._patch(results._reader, "_recv_bytes", self._receives, self._is_received)

    def undo(self) -> None:
        """Takes the patches out."""
        while self._patched:
            found, name = self._patched.pop()
            owner = found()
            if owner is not None:
                vars(owner).pop(name, None)

    def take_came(self) -> tuple[Came | None, Stand | None]:
        """The message that this thread received last, if it was not taken yet, and when it had come."""
        found = self._came, self._received
        if self._came is None or self._came.receiving.thread_id != get_native_id():
            return None, None
        self._came = None
        return found

    def give_up(self, passage: Passage) -> None:
        """The job is over: where it could not be pickled, its call will not be sent."""
        if passage.pickling is None and passage in self._put:
            self._put.remove(passage)

    def _patch(self, owner: Any, name: str, begin: Callable[..., Any], end: Callable[..., None]) -> None:
        found = ref(owner)  # a connection is closed when the last reference to it goes
        # an attribute of the instance: such objects are pickled by what they consist of alone
        setattr(owner, name, functools.partial(_stamped, begin, end, getattr(type(owner), name), found))
        self._patched.append((found, name))

    # --- on the manager's thread ----------------------------------------------------------------
    def _puts(self, calls: Any, call: Any, *_: Any, **__: Any) -> Passage | None:
        item = calls.pending_work_items.get(getattr(call, "work_id", None))
        passage: Passage | None = getattr(item.future, PASSAGE_ATTRIBUTE, None) if item is not None else None
        if passage is not None:
            self._put.append(passage)
        return passage

    def _is_put(self, passage: Passage | None, _: Any) -> None:
        if passage is not None:
            passage.put_ns = perf_counter_ns()
            passage.calls.put_ns.append(passage.put_ns)

    def _receives(self, *_: Any) -> Stand | None:
        self._came = None
        return Stand.now() if self._queue.serves_requests() else None

    def _is_received(self, begin: Stand | None, received: Any) -> None:
        if begin is None or received is None:
            return
        size = received.tell()
        length = size + (4 if size <= 0x7FFFFFFF else 12)  # in the pipe
        self._received = end = begin.next()
        self._came = Came(begin.until(end), length, self._queue.clocks.read())

    # --- on the thread that pickles -------------------------------------------------------------
    def _sends(self, *_: Any) -> tuple[Passage | None, Stand]:
        before, begin = self._sent, Stand.now()
        passage = self._put.popleft() if self._put else None
        job = passage.job if passage is not None else None
        if passage is not None and job is not None:
            passage.pickling = part = before.until(begin, min(passage.put_ns or begin.at_ns, begin.at_ns))
            held = Occupancy(f"pickling for {job.name}", job.request.trace_id, job.span_id, job.code)
            held.start_ns, held.end_ns = part.start_ns, part.end_ns
            passage.calls.picklings.append(held)
            self._queue.sent(passage)
        return passage, begin

    def _is_sent(self, noted: tuple[Passage | None, Stand], _: Any) -> None:
        passage, begin = noted
        self._sent = begin.next()
        if passage is not None:
            passage.sending = begin.until(self._sent)


def _stamped(
    begin: Callable[..., Any], end: Callable[..., None], plain: Callable[..., Any], owner: "ref[Any]", *args: Any,
    **kwargs: Any,
) -> Any:  # fmt: skip
    noted = None
    try:
        noted = begin(owner(), *args, **kwargs)
    except Exception as error:
        probe_failed(PROBE, error)
    try:
        result = plain(owner(), *args, **kwargs)
    except BaseException as error:
        take_this_frame_out(error)
        raise
    try:
        end(noted, result)
    except Exception as error:
        probe_failed(PROBE, error)
    return result
