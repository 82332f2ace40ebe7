"""Which jobs of a process pool have a worker, as far as the parent can know.

A pool hands its jobs out in the order of their submission, and none waits while a worker is free. So as
many jobs as there are workers run, the others queue, and the next one runs when a result comes.

    worker 1   |--a--||----c----|
    worker 2   |-----b-----|
    seen       submit a, b, c   ^ a came: c runs   ^ b came

The bytes that each worker wrote tell who sent a result; its clocks then say what the job used.
"""

import os
import threading
from collections import deque
from threading import get_native_id
from time import perf_counter_ns, thread_time_ns
from typing import Any, NamedTuple

from whywait.tracer.host.process_clocks import WorkerClocks
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath import recorder
from whywait.tracer.probes.process_pool.worker_use import Readings, WorkerUse
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.process_job import Part, Passage, Pipes
from whywait.tracer.records.request import Job, Pool

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
    results_before: int  # bytes
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
        self._table = sampler.pools if sampler is not None else None
        self._row = _ends_of(executor._call_queue) + _ends_of(executor._result_queue)
        self.pipes = Pipes(next(self._table.keys) if self._table is not None else 0)
        self._size = executor._max_workers
        self._use = WorkerUse(self._size)
        self._is_read = False  # since a job of a request runs
        self._running: list[Entry] = []
        self._waiting: deque[Entry] = deque()
        self._of_requests = 0  # jobs that run
        self._heard_of = set(self.clocks.processes())  # workers that do not start any more
        self._lock = threading.Lock()

    def note_processes(self) -> None:
        """Says which processes the pool has, if the sampler is to read them."""
        if self._table is not None and self._of_requests > 0:
            self._table.show(self.pipes.calls.key, [*self._row, *self.clocks.processes()])

    def serves_requests(self) -> bool:
        """Whether a job of a request runs."""
        return self._of_requests > 0

    def enter(self, entry: Entry, now: int) -> None:
        """A job was submitted."""
        with self._lock:
            self._waiting.append(entry)
            self._fill(now)

    def started_first(self, entry: Entry, now: int) -> None:
        """A process had to be started before the job could be queued, which is a wait of its own."""
        with self._lock:
            if entry.job is not None:
                entry.job.born_ns = now
            if entry in self._running:
                _has_worker_since(entry, now)

    def read_first(self) -> None:
        """Reads what the workers are at before the first job of a request is with them."""
        if not self._is_read:
            self._is_read = True
            self._use.begin(self.clocks.read())

    def leave(self, entry: Entry, now: int, came: Came | None) -> None:
        """The result of a job came; or, without `came`, it was given up or its pool broke."""
        with self._lock:
            if came is not None:
                self._take_result(entry.passage, came)
            if entry in self._waiting:
                self._waiting.remove(entry)
            elif entry in self._running:
                self._running.remove(entry)
                entry.held.end_ns = now
                self._count(entry, -1)
                self._fill(now)

    def _take_result(self, passage: Passage, came: Came) -> None:
        passage.receiving, passage.results_before = came.begin.until(came.end), came.results_before
        passage.worker, passage.used = self._use.result(came.length, came.readings, len(self._running))
        unheard = came.readings.keys() - self._heard_of
        passage.starting = passage.worker in unheard if passage.worker else bool(unheard)
        self._heard_of.add(passage.worker)

    def _fill(self, now: int) -> None:
        while self._waiting and len(self._running) < self._size:
            entry = self._waiting.popleft()
            self._running.append(entry)
            _has_worker_since(entry, now)
            self.pool.occupancies.append(entry.held)
            self._count(entry, 1)

    def _count(self, entry: Entry, change: int) -> None:
        if entry.job is None:
            return
        was_busy = self._of_requests > 0
        self._of_requests += change
        if not was_busy:
            self._is_read = False
            self.note_processes()
        elif not self._of_requests and self._table is not None:
            self._table.show(self.pipes.calls.key, ())


def _has_worker_since(entry: Entry, now: int) -> None:
    entry.held.start_ns = now
    if entry.job is not None:
        entry.job.start_ns = entry.job.idle_since_ns = now


def _ends_of(queue: Any) -> list[int]:
    fd = queue._reader.fileno() if queue is not None else -1  # it was shut down
    return [fd, os.fstat(fd).st_ino if fd >= 0 else 0]
