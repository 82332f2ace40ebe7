"""What the threads of a process pool do for its jobs: one pickles the calls and sends them, in the order in which they were
put, another takes the results. The wait for a worker is inferred, see `process_queue`; the worker is not touched, and
nothing is added to what is pickled.

The one that pickles does so from when a call was put, or the one before was sent, until it sends."""

import functools
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from time import perf_counter_ns, thread_time_ns
from typing import Any
from weakref import WeakKeyDictionary, ref

from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath import recorder
from whywait.tracer.hotpath.recorder import safely
from whywait.tracer.hotpath.thread_state import deliver
from whywait.tracer.probes.process_pool.process_queue import Came, ProcessQueue
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.process_job import Part, Passage
from whywait.tracer.records.request import Job
from whywait.tracer.schema import OUTCOME_CANCELLED, PICKLING, UNPICKLING

Stamps = Generator[None, Any, None]  # what is done before a call, and after it, which may be given its result
_LONG_NS = 1_000_000  # from which it may make others wait for the GIL
Stand = tuple[int, int, int]  # the calling thread's clocks at one moment: wall, CPU, run queue


def stand() -> Stand:
    """Return the calling thread's clocks."""
    return perf_counter_ns(), thread_time_ns(), run_queue_ns() or 0


def _part(begin: Stand, end: Stand, since_ns: int = 0) -> Part:
    """What the calling thread did between the two; it idled until `since_ns`."""
    (_, used_ns, queued_ns), (end_ns, until_used_ns, until_queued_ns) = begin, end
    run_queue_ns = max(until_queued_ns - queued_ns, 0)
    return Part(threading.get_native_id(), max(begin[0], since_ns), end_ns, until_used_ns - used_ns, run_queue_ns)


def _keeps_the_gil(what: str, job: Job, part: Part) -> Occupancy:
    """What a thread of the pool did for a job, as that of which others that wait for the GIL are told."""
    held = Occupancy(f"{what}{job.name}", job.request.trace_id, job.span_id, job.code)
    held.thread_id, held.start_ns, held.end_ns = part.thread_id, part.start_ns, part.end_ns
    if recorder.active is not None and held.end_ns - held.start_ns >= _LONG_NS:
        recorder.active.holds.append(held)
    return held


class Way:
    """Stamps the jobs of one pool, until `undo`."""

    def __init__(self, queue: ProcessQueue, name: str) -> None:
        self.queue = queue
        self.put = deque[Passage]()  # calls that were not sent yet
        self.sent: Stand = 0, 0, 0  # the sending thread begins with nothing
        self._name = name  # of the probe
        self._came: tuple[Came, Stand] | None = None  # the latest, until it is known whose it is; when it had come
        self._patched: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def stamp(self, owner: Any, attribute: str, stamps: Callable[..., Stamps]) -> None:
        """Have a method of one object stamped."""
        # a connection is closed when the last reference to it goes
        stamped = functools.partial(_stamped, self._name, stamps, getattr(type(owner), attribute), ref(owner))
        setattr(owner, attribute, stamped)  # of the instance: they are pickled by what they consist of alone
        self._patched[owner] = attribute

    def undo(self) -> None:
        """Let the jobs go by unseen."""
        self.queue.clocks.close()
        for owner, attribute in self._patched.items():
            vars(owner).pop(attribute, None)

    def receives(self, *_: Any) -> Stamps:
        """On the thread that takes results."""
        self._came = None
        if self.queue.busy:
            begin = stand()
            received = yield
            size, end = received.tell(), stand()
            length = size + (4 if size <= 0x7FFFFFFF else 12)  # in the pipe
            self._came = (_part(begin, end), length, self.queue.clocks.read()), end

    def done(self, passage: Passage, outcome: str, *, here: bool) -> None:
        """A job has ended; `here`: this thread has taken its result, and is about to wake who waits for it."""
        now = perf_counter_ns()
        came, came_ns = None, now
        if here and self._came is not None:
            (came, end), self._came = self._came, None
            passage.unpickling, came_ns = _part(end, stand()), end[0]
        with suppress(ValueError):
            self.put.remove(passage)  # where it could not be pickled
        self.queue.leave(passage, came_ns, came)
        job, passage.job = passage.job, None  # they would keep each other
        if job is None:
            return
        if came is not None:
            _keeps_the_gil(UNPICKLING, job, passage.unpickling)
        job.done_ns = job.end_ns = job.stop_ns = now
        job.outcome, cancelled = outcome, outcome == OUTCOME_CANCELLED
        if cancelled:
            job.start_ns = 0
        if job.request.open:
            self.queue.pool.last_job = job
        if here and not cancelled:  # it now delivers this job's result
            deliver(job)

    def sends(self, message: Any, *_: Any) -> Stamps:
        """On the thread that pickles."""
        before, begin = self.sent, stand()
        passage = self.put.popleft() if self.put else None
        if passage is not None and (job := passage.job) is not None:
            passage.sent = len(message)
            passage.pickling = part = _part(before, begin, min(passage.put_ns or begin[0], begin[0]))
            passage.calls.picklings.append(_keeps_the_gil(PICKLING, job, part))
            self.queue.sent(passage)
        yield
        self.sent = stand()
        if passage is not None:
            passage.sending = _part(begin, self.sent)


def _stamped(name: str, stamps: Callable[..., Stamps], plain: Any, owner: "ref[Any]", *args: Any, **kwargs: Any) -> Any:
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
