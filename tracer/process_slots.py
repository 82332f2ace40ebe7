"""Which jobs of a process pool have a worker, as far as the parent can know.

A pool hands its jobs out in the order of their submission, and none waits while a worker is free. So as
many as there are workers run, the others queue, and who is next begins when one is done. The workers' CPU
clocks tell how much all of them computed between two such moments; each of the jobs that ran is taken to
have had an equal part of it.

    worker 1   |--a--||----c----|
    worker 2   |-----b-----|
    seen       submit a, b, c   ^ a done: c begins   ^ b done
"""

import threading
from collections import deque
from collections.abc import Callable

from tracer.records import Job, Occupancy


class Entry:
    """One job of the pool; `job` is None outside any request."""

    __slots__ = ("held", "job")

    def __init__(self, job: Job | None, held: Occupancy) -> None:
        self.job = job
        self.held = held


class ProcessSlots:
    """The jobs of one pool that run and those that queue. Any thread may call it."""

    def __init__(self, size: int, cpu_clock: Callable[[], int]) -> None:
        self._size = size
        self._cpu_clock = cpu_clock
        self._cpu_ns = 0
        self._running: list[Entry] = []
        self._waiting: deque[Entry] = deque()
        self._lock = threading.Lock()

    def enter(self, entry: Entry, now: int) -> bool:
        """A job was submitted; whether it began at once."""
        with self._lock:
            if len(self._running) >= self._size:
                self._waiting.append(entry)
                return False
            self._share_cpu()
            self._begin(entry, now)
            return True

    def leave(self, entry: Entry, now: int) -> "Entry | None":
        """A job is done or was given up; returns the one that begins in its place."""
        with self._lock:
            if entry not in self._running:
                if entry in self._waiting:
                    self._waiting.remove(entry)
                return None
            self._share_cpu()
            self._running.remove(entry)
            entry.held.end_ns = now
            if not self._waiting:
                return None
            following = self._waiting.popleft()
            self._begin(following, now)
            return following

    def _begin(self, entry: Entry, now: int) -> None:
        self._running.append(entry)
        entry.held.start_ns = now
        if entry.job is not None:
            # it begins when the worker before it was free: nothing lies between that the parent could see
            entry.job.start_ns = entry.job.idle_since_ns = now

    def _share_cpu(self) -> None:
        total_ns = self._cpu_clock()
        used_ns, self._cpu_ns = max(total_ns - self._cpu_ns, 0), total_ns
        for entry in self._running:
            if entry.job is not None:
                entry.job.cpu_ns += used_ns // len(self._running)
