"""One job's way through a process pool, as far as the parent process sees it.

submit             pickling    sending                   came     received   done
|------------------|-----------|------|~~~~~~~~~~~~~~~~~~|--------|----------|
 manager and feeder    feeder    feeder   a worker process  manager   manager
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from whywait.tracer.host.code_location import Place
from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Job


class Part(NamedTuple):
    """What a thread of the pool did for a job, and its own clocks meanwhile; times are `perf_counter_ns`."""

    thread_id: int = 0  # native
    start_ns: int = 0
    end_ns: int = 0
    cpu_ns: int = 0
    run_queue_ns: int = 0  # too where this machine does not show it


@dataclass(slots=True)
class Calls:
    """The queue by which a pool hands calls to its workers."""

    settle: Callable[[], None]  # finds the senders of results that are not known yet
    key: int = 0  # by which the sampler's records of its free places are known; 0: there are none
    places: int = 0
    put_ns: deque[int] = field(default_factory=lambda: deque(maxlen=8_192))  # when each call was in the queue
    picklings: deque[Occupancy] = field(default_factory=lambda: deque(maxlen=256))  # of its calls


@dataclass(slots=True, eq=False)
class Passage:
    """Filled while the job goes its way, by one thread after another; 0 and None: not yet, or not known."""

    calls: Calls
    job: Job | None  # None outside any request
    held: Occupancy  # a worker
    submitted_at: Place | None = None
    put_ns: int = 0  # it was in the queue of calls
    pickling: Part = field(default_factory=Part)
    sending: Part = field(default_factory=Part)
    sent: int = 0  # bytes
    turn_ns: int = 0  # a worker was free for it
    before: dict[int, WorkerClock] | None = None  # the workers' clocks when it was sent and had begun
    starting: bool = False  # a worker may not have been up then: no result had come from it
    none_up: bool = False  # no worker may have been up then
    receiving: Part = field(default_factory=Part)
    length: int = 0  # of its result, bytes in the pipe
    after: dict[int, WorkerClock] = field(default_factory=dict)  # the workers' clocks when its result had come
    unpickling: Part = field(default_factory=Part)
    worker: int = 0  # the process that ran it

    def used(self) -> WorkerClock | None:
        """What the worker used from when the job began until its result came, where the worker is known."""
        if self.before is None:
            return None
        before, after = self.before.get(self.worker), self.after.get(self.worker)
        if after is None or before is None:
            return after  # without a reading before: it was started meanwhile
        return WorkerClock(max(after.cpu_ns - before.cpu_ns, 0), max(after.run_queue_ns - before.run_queue_ns, 0))
