"""One job's way through a process pool, as far as the parent process sees it.

submit   put       pickling    sending                   came     received   done
|--------|---------|-----------|------|~~~~~~~~~~~~~~~~~~|--------|----------|
  manager   feeder    feeder    feeder   a worker process  manager   manager
"""

from collections import deque
from typing import NamedTuple, Protocol

from whywait.tracer.host.code_location import Place
from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.records.occupancy import Occupancy


class Part(NamedTuple):
    """What a thread of the pool did for a job, and its own clocks meanwhile; times are `perf_counter_ns`."""

    thread_id: int  # native
    start_ns: int
    end_ns: int
    cpu_ns: int
    run_queue_ns: int | None


class Line(Protocol):
    """The pool that it went through, as `whywait.tracer.probes.process_pool.pool_state.ProcessLine` is."""

    picklings: deque[Occupancy]  # of its jobs
    places: int  # in its queue of calls
    jobs_put: deque[int]  # when each job had its place in the queue of calls

    @property
    def key(self) -> int:
        """By which the sampler's records of the free places are known; 0: there are none."""


class Passage:
    """Filled while the job goes its way, by one thread after another; 0 and None: not yet, or not known."""

    __slots__ = (
        "after", "before", "began_ns", "line", "manager_id", "pickling", "put_ns", "queued_ns", "receiving",
        "sender", "sending", "sent_ns", "starting", "submitted_at", "turn_ns", "unpickling",
    )  # fmt: skip

    def __init__(self) -> None:
        self.line: Line | None = None
        self.submitted_at: Place | None = None
        self.manager_id = 0  # native id of the thread that hands jobs out and takes results
        self.put_ns = 0  # handed to the thread that pickles
        self.queued_ns = 0  # it had its place in the queue of calls
        self.pickling: Part | None = None
        self.sent_ns = 0  # it was pickled, and began to be written
        self.sending: Part | None = None
        self.turn_ns = 0  # a worker was free for it
        self.began_ns = 0  # the later of the two: it was pickled, and a worker was free
        self.before: dict[int, WorkerClock] = {}  # of the workers, when it began
        self.receiving: Part | None = None
        self.after: dict[int, WorkerClock] = {}  # when its result had come
        self.unpickling: Part | None = None
        self.sender: Sent | None = None
        self.starting = False  # a worker may not have been up then: no result had come from it

    @property
    def worker(self) -> int:
        """The process that ran it; 0 where that is not known."""
        workers = self.sender.workers if self.sender is not None else ()
        return workers[0] if len(workers) == 1 else 0

    def used(self) -> WorkerClock | None:
        """What the worker used from its beginning until its result came, where it is known which one."""
        before, after = self.before.get(self.worker), self.after.get(self.worker)
        if after is None or not self.began_ns:
            return None
        if before is None:  # it was started meanwhile
            return after
        return WorkerClock(
            max(after.cpu_ns - before.cpu_ns, 0),
            _grown(before.run_queue_ns, after.run_queue_ns),
            None,
            _grown(before.turns, after.turns),
        )


def _grown(before: int | None, after: int | None) -> int | None:
    return max(after - before, 0) if before is not None and after is not None else None


class Sent:
    """A result that came; `workers` are those that may have sent it, one once it is known."""

    __slots__ = ("length", "looks", "workers")

    def __init__(self, length: int) -> None:
        self.length = length  # bytes in the pipe
        self.workers: tuple[int, ...] = ()
        self.looks = 0
