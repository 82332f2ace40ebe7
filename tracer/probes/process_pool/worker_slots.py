"""Which jobs of a process pool have a worker, as far as the parent can know.

A pool hands its jobs out in the order of their submission, and none waits while a worker is free. So as
many as there are workers have their turn, the others queue, and who is next has it when a result comes.

    worker 1   |--a--||----c----|
    worker 2   |-----b-----|
    seen       submit a, b, c   ^ a came: c's turn   ^ b came

Who sent a result is told by the bytes that each worker wrote; the workers' clocks at both ends then say what
the job used. Where it cannot be told, each of the jobs that ran is taken to have used an equal part.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from time import perf_counter_ns

from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.probes.process_pool.result_sender import Senders
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.process_job import Passage, Sent
from whywait.tracer.records.request import Job

Readings = dict[int, WorkerClock]
_OLD_NS = 100_000_000


class Entry:
    """One job of the pool; `job` is None outside any request, and then `passage` is, too."""

    __slots__ = ("held", "job", "passage")

    def __init__(self, job: Job | None, held: Occupancy) -> None:
        self.job = job
        self.held = held
        self.passage: Passage | None = None
        if job is not None:
            self.passage = job.passage = Passage()


class ProcessSlots:
    """The jobs of one pool that have their turn and those that queue. Any thread may call it."""

    def __init__(
        self, size: int, clocks: Callable[[], Readings], busy: Callable[[bool], None], *, of_one: bool
    ) -> None:
        self._size = size
        self._clocks = clocks
        self._of_one = of_one  # process, always the same
        self._latest: Readings = {}
        self._unseen = True  # whether results came since at which nobody looked
        self._looked_ns = 0
        self._senders = Senders()
        self._running: list[Entry] = []
        self._waiting: deque[Entry] = deque()
        self._heard_of: set[int] = set()  # workers that have started
        self._busy = busy  # called as the first job of a request has its turn, and as the last is done
        self._of_requests = 0  # jobs that have their turn
        self._lock = threading.Lock()

    def enter(self, entry: Entry, now: int) -> bool:
        """A job was submitted; whether a worker is free for it."""
        with self._lock:
            if len(self._running) >= self._size:
                self._waiting.append(entry)
                return False
            self._turn(entry, now, {})
            return True

    def born(self, entry: Entry, now: int) -> None:
        """A process had to be started before the job could be queued, which is told apart."""
        with self._lock:
            if entry.job is not None:
                entry.job.born_ns = now
            if entry in self._running:
                self._has_turn_since(entry, now)

    def sent(self, entry: Entry, now: int) -> None:
        """A job is pickled and now goes into the pipe."""
        with self._lock:
            passage = entry.passage
            if passage is None:
                return
            passage.sent_ns = now
            if passage.turn_ns:
                self._begin(passage, now, {})

    def run_already(self, workers: Iterable[int]) -> None:
        """Processes that the pool had before the tracer knew of it: they do not start any more."""
        self._heard_of |= set(workers)

    def workers_changed(self) -> None:
        """A process was started: the clocks are read before the next job begins."""
        self._looked_ns = 0

    def serves_requests(self) -> bool:
        """Whether a job of a request has its turn."""
        with self._lock:
            return self._of_requests > 0

    def look(self) -> Readings:
        """The clocks of the workers now."""
        with self._lock:
            return self._look()

    def came(self, entry: Entry, now: int, length: int, readings: Readings) -> "Entry | None":
        """The result of a job had come, in so many bytes; `readings` are of then. Returns who is next."""
        with self._lock:
            passage = entry.passage
            sent = Sent(length)
            if self._of_one:
                sent.workers = tuple(readings)
            elif readings:
                self._senders.came(sent)
            self._unseen = self._unseen or not readings
            if passage is not None:
                passage.sender, passage.after = sent, readings
            self._heard_of |= set(sent.workers)
            return self._leave(entry, now, readings)

    def leave(self, entry: Entry, now: int) -> "Entry | None":
        """A job was given up, or its pool broke; returns the one whose turn it is then."""
        with self._lock:
            return self._leave(entry, now, {})

    def _leave(self, entry: Entry, now: int, readings: Readings) -> "Entry | None":
        if entry not in self._running:
            if entry in self._waiting:
                self._waiting.remove(entry)
            return None
        self._running.remove(entry)
        entry.held.end_ns = now
        if entry.passage is not None:
            self._of_requests -= 1
            if not self._of_requests:
                self._busy(False)
        if not self._waiting:
            return None
        following = self._waiting.popleft()
        self._turn(following, now, readings)
        return following

    def _turn(self, entry: Entry, now: int, readings: Readings) -> None:
        self._running.append(entry)
        self._has_turn_since(entry, now)
        passage = entry.passage
        if passage is not None:
            self._of_requests += 1
            if self._of_requests == 1:
                self._busy(True)
            if passage.sent_ns:  # while it queued
                self._begin(passage, now, readings)

    @staticmethod
    def _has_turn_since(entry: Entry, now: int) -> None:
        entry.held.start_ns = now
        if entry.job is not None:
            entry.job.start_ns = entry.job.idle_since_ns = now
        if entry.passage is not None:
            entry.passage.turn_ns = now

    def _begun(self) -> list[Job]:
        running = self._running
        return [one.job for one in running if one.job is not None and one.passage and one.passage.began_ns]

    def _begin(self, passage: Passage, now: int, readings: Readings) -> None:
        # a worker that is free uses next to nothing: what its clocks were when a result came they are now
        if self._unseen or now - self._looked_ns > _OLD_NS:
            readings = self._look()
        passage.before = readings or self._latest
        passage.began_ns = now
        passage.starting = not passage.before.keys() <= self._heard_of

    def _look(self) -> Readings:
        readings = self._clocks()
        written = {worker: one.written for worker, one in readings.items() if one.written is not None}
        self._senders.look(written)
        used_ns = sum(
            max(one.cpu_ns - self._latest[worker].cpu_ns, 0)
            for worker, one in readings.items()
            if worker in self._latest
        )
        self._latest = readings
        if self._unseen:
            self._senders.forget()
        self._unseen, self._looked_ns = False, perf_counter_ns()
        ran = self._begun()
        for job in ran:
            job.cpu_ns += used_ns // len(ran)
        return readings
