"""What is kept of one `ProcessPoolExecutor` while it lives: its turns, its workers, and what came from them."""

from collections import deque
from threading import get_native_id
from time import perf_counter_ns, thread_time_ns
from typing import Any, NamedTuple

from whywait.tracer.host.process_clocks import WorkerClocks
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath import recorder
from whywait.tracer.probes.process_pool.worker_slots import ProcessSlots, Readings
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.process_job import Part
from whywait.tracer.records.request import Pool

_MOST_JOBS = 8_192
_MOST_PICKLINGS = 256
_SHORT_NS = 200_000


class Stand(NamedTuple):
    """The calling thread's clocks at one moment."""

    at_ns: int
    cpu_ns: int
    run_queue_ns: int | None

    @classmethod
    def now(cls) -> "Stand":
        """Of this moment."""
        return cls(perf_counter_ns(), thread_time_ns(), run_queue_ns())

    def next(self) -> "Stand":
        """Of this moment, which comes after the one before; what was short did not queue for a CPU for long."""
        now = perf_counter_ns()
        queued_ns = self.run_queue_ns if now - self.at_ns < _SHORT_NS else run_queue_ns()
        return Stand(now, thread_time_ns(), queued_ns)

    def until(self, end: "Stand") -> Part:
        """What the calling thread did between the two."""
        queued_ns = None
        if self.run_queue_ns is not None and end.run_queue_ns is not None:
            queued_ns = end.run_queue_ns - self.run_queue_ns
        return Part(get_native_id(), self.at_ns, end.at_ns, end.cpu_ns - self.cpu_ns, queued_ns)


class Came(NamedTuple):
    """A message from a worker."""

    begin: Stand
    end: Stand
    length: int  # bytes in the pipe
    readings: Readings  # of the workers, when it had come


class ProcessLine:
    """One executor's."""

    __slots__ = (
        "__weakref__",
        "came",
        "clocks",
        "jobs_put",
        "picklings",
        "places",
        "pool",
        "slots",
        "watched",
    )

    def __init__(self, executor: Any, pool: Pool) -> None:
        self.pool = pool
        self.clocks = WorkerClocks(executor)
        sampler = recorder.active.sampler if recorder.active is not None else None
        self.watched = sampler.pools.add(executor) if sampler is not None else None
        busy = self.watched.busy if self.watched is not None else _nobody_cares
        self.slots = ProcessSlots(executor._max_workers, self.clocks.read, busy, of_one=self.clocks.is_one)
        self.places = int(getattr(executor._call_queue, "_maxsize", 0))  # in its queue of calls
        self.jobs_put: deque[int] = deque(maxlen=_MOST_JOBS)  # when each had its place in the queue of calls
        self.picklings: deque[Occupancy] = deque(maxlen=_MOST_PICKLINGS)
        self.came: Came | None = None  # the latest, until it is known whose it is
        workers = self.clocks.processes()
        self.slots.run_already(workers)
        if self.watched is not None:
            self.watched.workers(workers)

    @property
    def key(self) -> int:
        """By which the sampler's records of the free places are known; 0: there are none."""
        return self.watched.key if self.watched is not None else 0

    def note_spawned(self) -> None:
        """A process of the pool was started."""
        self.slots.workers_changed()
        if self.watched is not None:
            self.watched.workers(self.clocks.processes())


def _nobody_cares(_: bool) -> None:
    """There is no sampler."""
