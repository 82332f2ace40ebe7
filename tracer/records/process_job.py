"""One job's way through a process pool, as far as the parent process sees it.

submit             pickling    sending                   came     received   done
|------------------|-----------|------|~~~~~~~~~~~~~~~~~~|--------|----------|
 manager and feeder    feeder    feeder   a worker process  manager   manager
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from whywait.tracer.host.code_location import Place
from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Job


class Part(NamedTuple):
    """What a thread of the pool did for a job, and its own clocks meanwhile; times are `perf_counter_ns`."""

    thread_id: int  # native
    start_ns: int
    end_ns: int
    cpu_ns: int
    run_queue_ns: int | None


class Calls(NamedTuple):
    """The queue by which a pool hands calls to its workers."""

    key: int  # by which the sampler's records of its free places are known; 0: there are none
    places: int
    put_ns: deque[int]  # when each call was in the queue
    picklings: deque[Occupancy]  # of its calls
    settle: Callable[[], None]  # finds the senders of results that are not known yet


class Passage:
    """Filled while the job goes its way, by one thread after another; 0 and None: not yet, or not known."""

    __slots__ = (
        "after", "before", "calls", "held", "job", "length", "pickling", "put_ns", "receiving", "sending", "starting",
        "submitted_at", "turn_ns", "unpickling", "worker",
    )  # fmt: skip

    def __init__(self, calls: Calls, job: Job | None, held: Occupancy, submitted_at: Place | None = None) -> None:
        self.calls = calls
        self.job = job  # None outside any request
        self.held = held  # a worker
        self.submitted_at = submitted_at
        self.put_ns = 0  # it was in the queue of calls
        self.pickling: Part | None = None
        self.sending: Part | None = None
        self.turn_ns = 0  # a worker was free for it
        self.before: dict[int, WorkerClock] | None = None  # the workers' clocks when it was sent and had begun
        self.starting = False  # a worker may not have been up then: no result had come from it
        self.receiving: Part | None = None
        self.length = 0  # of its result, bytes in the pipe
        self.after: dict[int, WorkerClock] = {}  # the workers' clocks when its result had come
        self.unpickling: Part | None = None
        self.worker = 0  # the process that ran it

    def used(self) -> WorkerClock | None:
        """What the worker used from when the job began until its result came, where the worker is known."""
        after = self.after.get(self.worker) if self.before is not None else None
        before = self.before.get(self.worker) if self.before is not None else None
        if after is None or before is None:
            return after  # without a reading before: it was started meanwhile
        queued_ns = None
        if before.run_queue_ns is not None and after.run_queue_ns is not None:
            queued_ns = max(after.run_queue_ns - before.run_queue_ns, 0)
        return WorkerClock(max(after.cpu_ns - before.cpu_ns, 0), queued_ns, None)
