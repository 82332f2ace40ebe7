"""Which jobs of a process pool have a worker, as far as the parent can know.

A pool hands its jobs out in order, and none waits while a worker is free: the next one runs when a result comes.

    worker 1   |--a--||----c----|
    worker 2   |-----b-----|
    seen       submit a, b, c   ^ a came: c runs   ^ b came

The bytes that each worker wrote tell who sent a result, and the workers' clocks what the job used. Where the sender is
not known, each of the jobs that ran used an equal part.
"""

import threading
from collections import deque
from threading import get_native_id
from time import perf_counter_ns, thread_time_ns
from typing import Any, NamedTuple

from whywait.tracer.host.process_clocks import WorkerClock, WorkerClocks
from whywait.tracer.host.process_pool_pipes import pipes_of
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath import recorder
from whywait.tracer.probes.process_pool.result_sender import Senders
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.process_job import Calls, Part, Passage
from whywait.tracer.records.request import Job, Pool

Readings = dict[int, WorkerClock]
_MOST_JOBS, _MOST_PICKLINGS = 8_192, 256
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


class Entry(NamedTuple):
    """One job of the pool; `job` is None outside any request."""

    job: Job | None
    held: Occupancy
    passage: Passage


class ProcessQueue:
    """The jobs of one executor that run and those that queue. Any thread may call it."""

    def __init__(self, executor: Any, pool: Pool) -> None:
        self.pool = pool
        self.clocks = WorkerClocks(executor)
        self.came: Came | None = None  # the latest, until it is known whose it is
        sampler = recorder.active.sampler if recorder.active is not None else None
        self._watched = sampler.pools.add(pipes_of(executor)) if sampler is not None else None
        self.calls = Calls(
            self._watched.key if self._watched is not None else 0,
            int(getattr(executor._call_queue, "_maxsize", 0)),
            deque(maxlen=_MOST_JOBS), deque(maxlen=_MOST_PICKLINGS), self.settle,
        )  # fmt: skip
        self._size = executor._max_workers
        self._senders = Senders(self.clocks.processes())
        self._running: list[Entry] = []
        self._waiting: deque[Entry] = deque()
        self._of_requests = 0  # jobs that run
        self._lock = threading.Lock()
        self.note_processes()

    def note_processes(self) -> None:
        """The pool has other processes than before."""
        if self._watched is not None:
            self._watched.workers(self.clocks.processes())

    def serves_requests(self) -> bool:
        """Whether a job of a request runs."""
        return self._of_requests > 0

    def enter(self, entry: Entry, now: int) -> None:
        """A job was submitted."""
        with self._lock:
            if len(self._running) < self._size:
                self._run(entry, now, {})
            else:
                self._waiting.append(entry)

    def started_first(self, entry: Entry, now: int) -> None:
        """A process had to be started before the job could be queued, which is a wait of its own."""
        with self._lock:
            if entry.job is not None:
                entry.job.born_ns = now
            if entry in self._running:
                self._has_worker_since(entry, now)

    def sent(self, entry: Entry, now: int) -> None:
        """A job is pickled and now goes into the pipe."""
        with self._lock:
            entry.passage.sent_ns = now
            if entry.passage.turn_ns:
                self._begin(entry, now, {})

    def leave(self, entry: Entry, now: int, came: Came | None) -> None:
        """The result of a job came; or, without `came`, it was given up or its pool broke."""
        with self._lock:
            readings = came.readings if came is not None else {}
            if came is not None:
                self._take_result(entry, came)
            if entry not in self._running:
                if entry in self._waiting:
                    self._waiting.remove(entry)
                return
            self._running.remove(entry)
            entry.held.end_ns = now
            self._count(entry, -1)
            if self._waiting:
                self._run(self._waiting.popleft(), now, readings)

    def _take_result(self, entry: Entry, came: Came) -> None:
        passage = entry.passage
        passage.receiving, passage.length, passage.after = (came.begin.until(came.end), came.length, came.readings)
        if not came.readings:
            return
        workers = passage.before.keys() | came.readings.keys()
        if len(workers) == 1:  # what it wrote may be counted a moment after its result has come
            self._senders.renew()
            self._senders.sent_by(passage, *workers)
        else:
            self._note_written(came.readings)
            self._senders.came(passage)
        if not passage.worker and entry.job is not None:
            before = passage.before
            used_ns = sum(one.cpu_ns - before[of].cpu_ns for of, one in came.readings.items() if of in before)
            entry.job.cpu_ns = used_ns // max(len(self._running), 1)

    def _run(self, entry: Entry, now: int, readings: Readings) -> None:
        self._running.append(entry)
        self._has_worker_since(entry, now)
        self.pool.occupancies.append(entry.held)
        self._count(entry, 1)
        if entry.passage.sent_ns:  # while it queued
            self._begin(entry, now, readings)

    @staticmethod
    def _has_worker_since(entry: Entry, now: int) -> None:
        entry.held.start_ns = entry.passage.turn_ns = now
        if entry.job is not None:
            entry.job.start_ns = entry.job.idle_since_ns = now

    def _count(self, entry: Entry, change: int) -> None:
        if entry.job is None:
            if change > 0 and not self._of_requests:
                self._renew_senders()
            return
        was_busy = self._of_requests > 0
        self._of_requests += change
        if not was_busy:
            self._renew_senders()
        if was_busy != (self._of_requests > 0) and self._watched is not None:
            self._watched.busy(not was_busy)

    def settle(self) -> None:
        """Find the senders of results whose bytes were counted after they had come. Called by any thread."""
        with self._lock:
            self._settle()

    def _settle(self) -> None:
        if self._senders.open:
            self._note_written(self.clocks.read())

    def _renew_senders(self) -> None:
        """No result accounts for what is written while no result is read; so those before are settled first."""
        self._settle()
        self._senders.renew()

    def _begin(self, entry: Entry, now: int, readings: Readings) -> None:
        if entry.job is None:
            return
        passage = entry.passage
        # a worker that is free uses next to nothing: what its clocks were when a result came they are now
        passage.before = readings or self.clocks.read()
        passage.began_ns = now
        passage.starting = not passage.before.keys() <= self._senders.heard_of
        self._note_written(passage.before)

    def _note_written(self, readings: Readings) -> None:
        self._senders.read({of: one.written for of, one in readings.items() if one.written is not None})
