"""Which jobs of a process pool have a worker, as far as the parent can know.

A pool hands its jobs out in order, and none waits while a worker is free: the next one runs when a result comes. The
bytes that each worker wrote tell who sent it, its clocks what the job used; else each that ran used an equal part.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from itertools import filterfalse
from typing import Any

from whywait.tracer.host.process_clocks import WorkerClock, WorkerClocks, places_at
from whywait.tracer.hotpath import recorder
from whywait.tracer.records.process_job import Calls, Part, Passage
from whywait.tracer.records.request import Pool
from whywait.tracer.sampler.shared.pool_table import STARTING

Readings = dict[int, WorkerClock]
# a message from a worker, its length in the pipe in bytes, and the workers' clocks when it had come
Came = tuple[Part, int, Readings]
_OPEN = 8  # results whose sender may become known by a later reading
_ALIKE = 0.1  # of the time that a job took: by how much the computing of like workers may differ


class ProcessQueue:
    """The jobs of one executor or `multiprocessing.Pool` that run and those that queue. Any thread may call it."""

    def __init__(self, executor: Any, pool: Pool) -> None:
        self.pool = pool
        self.clocks = WorkerClocks(executor)
        self.calls = Calls(self.settle, places=getattr(getattr(executor, "_call_queue", None), "_maxsize", 0))
        self._table = recorder.active.sampler.pools if recorder.active and recorder.active.sampler else None
        if self._table is not None:
            self.calls.key, self._places_at = self._table.new_key(), places_at(executor)
        self._shown: tuple[list[int], bool] | None = None
        self._senders = Senders(self.clocks.processes())
        self._running: list[Passage] = []
        self._waiting: OrderedDict[Passage, None] = OrderedDict()
        self._lock = threading.RLock()
        self.show()

    def show(self) -> None:
        """Tells the sampler which processes the pool has, which may be starting, and whether it is busy."""
        self.busy = any(one.job is not None for one in self._running)  # of a request
        workers = [one if one in self._senders.heard_of else one | STARTING for one in self.clocks.processes()]
        if self._table is not None and self._shown != (workers, self.busy):
            self._shown = workers, self.busy
            self._table.show(self.calls.key, self._places_at, workers, busy=self.busy)

    def enter(self, passage: Passage, now: int) -> None:
        with self._lock:
            if len(self._running) < self.pool.size:
                self._run(passage, now, {})
            else:
                self._waiting[passage] = None
            self.show()

    def sent(self, passage: Passage, readings: Readings | None = None) -> None:
        """A job is pickled and goes into the pipe, and begins once it may run."""
        with self._lock:
            if passage.turn_ns and passage.pickling.thread_id:
                # a worker that is free uses next to nothing: what its clocks were when a result came they are now
                passage.before = readings or self.clocks.read()
                passage.starting = not passage.before.keys() <= self._senders.heard_of
                passage.none_up = passage.before.keys().isdisjoint(self._senders.heard_of)
                self._senders.read(passage.before)

    def leave(self, passage: Passage, now: int, came: Came | None) -> None:
        """The result of a job came; or, without `came`, it was given up or its pool broke, or nobody looked."""
        with self._lock:
            self._waiting.pop(passage, None)
            if passage not in self._running:
                return
            if came is not None:
                self._take_result(passage, came)
            else:
                self._senders.renew()  # what it wrote belongs to no result
            self._running.remove(passage)
            passage.held.end_ns = now
            if self._waiting:
                self._run(self._waiting.popitem(last=False)[0], now, passage.after)
            self.show()

    def settle(self) -> None:
        """Find the senders of results whose bytes were counted after they had come. Called by any thread."""
        with self._lock:
            if self._senders.open:
                self._senders.read(self.clocks.read())

    def _take_result(self, passage: Passage, came: Came) -> None:
        passage.receiving, passage.length, after = came
        before, passage.after = passage.before or {}, after
        if len(before.keys() | after.keys()) == len(after) == 1:  # what it wrote may be counted a moment later
            self._senders.renew()
            self._senders.sent_by(passage, *after)
        elif after:
            self._senders.read(after)
            self._senders.came(passage)
        if not passage.worker and passage.job is not None:
            used_ns = sum(one.cpu_ns - before[of].cpu_ns for of, one in after.items() if of in before)
            passage.job.cpu_ns = used_ns // len(self._running)

    def _run(self, passage: Passage, now: int, readings: Readings) -> None:
        self.settle()  # before anybody writes for this one
        self._running.append(passage)
        has_worker_since(passage, now)
        self.pool.occupancies.append(passage.held)
        self.sent(passage, readings)  # maybe while it queued


def has_worker_since(passage: Passage, now: int) -> None:
    """The job's turn has come, or comes later than it seemed."""
    passage.held.start_ns = passage.turn_ns = now
    if passage.job is not None:
        passage.job.start_ns = passage.job.idle_since_ns = now


class Senders:
    """Finds the process of a pool that sent a result, by what each process has written that no result accounts for yet.
    Pure."""

    def __init__(self, heard_of: Iterable[int] = ()) -> None:
        self.heard_of = set(heard_of)  # workers that have started
        self.renew()

    def renew(self) -> None:
        """Forget what was written, and results without a sender."""
        self._read: dict[int, int] = {}
        self._left: dict[int, int] = {}
        self.open: deque[Passage] = deque(maxlen=_OPEN)  # results without a sender so far

    def read(self, clocks: Readings) -> None:
        """Takes in how many bytes each process has written so far, maybe just after its result was here."""
        written = {worker: one.written for worker, one in clocks.items()}
        if self._read.keys() - written.keys():  # one ended, and may have sent what comes now
            self._read, self._left = {}, {}
        self._left = {
            worker: self._left.get(worker, 0) + total - self._read.get(worker, total)
            for worker, total in written.items()
        }
        self._read = written
        self._settle()

    def came(self, passage: Passage) -> None:
        """A result came, before the latest reading: finds its worker, and those of earlier ones that were open."""
        self.open.append(passage)
        self._settle()

    def sent_by(self, passage: Passage, worker: int) -> None:
        passage.worker = worker
        self.heard_of.add(worker)

    def _settle(self) -> None:
        while any(map(self._settled, tuple(self.open))):
            pass

    def _settled(self, one: Passage) -> bool:
        enough = {worker: left - one.length for worker, left in self._left.items() if left >= one.length}
        exact = list(filterfalse(enough.get, enough))
        if len(found := exact or [*enough]) == 1:
            self.sent_by(one, *found)
            self.open.remove(one)
            # what the worker wrote besides, its job wrote; a whole result may be one that is on its way
            self._left[one.worker] = enough[one.worker] if enough[one.worker] >= one.length else 0
        elif 0 < len(exact) <= len(tied := [other for other in self.open if other.length == one.length]):
            # they came at once, and stay without a sender, except where it makes no difference which is whose
            if len(exact) == len(tied) and _alike(tied, exact):
                for other, worker in zip(tied, exact, strict=True):
                    self.sent_by(other, worker)
            self.open = deque(filter(lambda other: other.length != one.length, self.open), _OPEN)
            self._left.update(dict.fromkeys(exact, 0))
        return one not in self.open


def _alike(tied: list[Passage], workers: list[int]) -> bool:
    """Whether these ran one function, and each of these workers computed about as long meanwhile."""
    if len({(one.held.name, one.held.code) for one in tied}) > 1:
        return False
    for one in tied:
        before, after = one.before or {}, one.after
        if not set(workers) <= before.keys() & after.keys():
            return False
        used_ns = [after[worker].cpu_ns - before[worker].cpu_ns for worker in workers]
        if max(used_ns) - min(used_ns) > _ALIKE * max(one.receiving.end_ns - one.turn_ns, 0):
            return False
    return True
