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
        "after", "before", "began_ns", "calls", "length", "manager_id", "pickling", "receiving", "sending",
        "sent_ns", "starting", "submitted_at", "turn_ns", "unpickling", "worker",
    )  # fmt: skip

    def __init__(self, calls: Calls, submitted_at: Place | None = None) -> None:
        self.calls = calls
        self.submitted_at = submitted_at
        self.pickling: Part | None = None
        self.sent_ns = 0  # it was pickled, and began to be written
        self.sending: Part | None = None
        self.turn_ns = 0  # a worker was free for it
        self.began_ns = 0  # the later of the two
        self.before: dict[int, WorkerClock] = {}  # the workers' clocks then
        self.starting = False  # a worker may not have been up then: no result had come from it
        self.manager_id = 0  # native id of the thread that hands calls out and takes results
        self.receiving: Part | None = None
        self.length = 0  # of its result, bytes in the pipe
        self.after: dict[int, WorkerClock] = {}  # the workers' clocks when its result had come
        self.unpickling: Part | None = None
        self.worker = 0  # the process that ran it

    def used(self) -> WorkerClock | None:
        """What the worker used from when the job began until its result came, where the worker is known."""
        before, after = self.before.get(self.worker), self.after.get(self.worker)
        if after is None or before is None or not self.began_ns:
            return after if self.began_ns else None  # without a reading before: it was started meanwhile
        queued_ns = _grown(before.run_queue_ns, after.run_queue_ns)
        switches = _grown(before.switches, after.switches)
        return WorkerClock(max(after.cpu_ns - before.cpu_ns, 0), queued_ns, None, switches)


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(after - before, 0)
