"""Samples the process pools with a job of a request: their queues, and the first thread of each worker, which runs
the jobs. Part of the sampler's process."""

import mmap
import os
import time
from collections.abc import Callable, Iterable

from whywait.tracer.sampler.child.record_writer import Making, Ring, Thread
from whywait.tracer.sampler.child.worker_state import Pools
from whywait.tracer.sampler.shared.pool_table import PLACES, Watched
from whywait.tracer.sampler.shared.thread_records import RUNNING, WATCH_AT

_LATE_NS = 1_000_000  # this process was in the run queue between reading and asking the clock: it was so, but when?
_EVERY_NS = 5_000_000
_MOST_OF_A_CORE = 0.01
State = Callable[["list[bytes]"], "tuple[int, int]"]


class PoolSweeps:
    """`state` returns a thread's state by the words of its `syscall` file. Never raises OSError."""

    def __init__(self, process_id: int, memory: mmap.mmap, ring: Ring, state: State) -> None:
        self._pools = Pools(process_id, memory, WATCH_AT)
        self._ring = ring
        self._state = state
        # by process id, and by what stands for the free places of a pool; None: it may not be read
        self._made: dict[int, Making | None] = {}
        self._cost_ns = 0  # of a sweep, CPU time: the mean of the latest

    def next_ns(self, now_ns: int) -> int:
        """When to read the next time, at the latest; 0 where there is no pool."""
        if not self._pools.pools:
            return 0
        return now_ns + max(_EVERY_NS, int(self._cost_ns / _MOST_OF_A_CORE))

    def sweep(self) -> None:
        """Reads each pool that is busy once."""
        began_ns = time.thread_time_ns()
        self._pools.read()
        present: set[int] = set()
        for pool in self._pools.pools:
            keys = [PLACES | pool.id, *pool.workers]
            present.update(keys)
            if pool.busy:
                self._count_places(pool)
                for worker in pool.workers:
                    self._sample(pool, worker)
            else:  # its next record begins when it is busy again
                self._end_records(keys)
        self._forget(self._made.keys() - present)
        self._cost_ns += (time.thread_time_ns() - began_ns - self._cost_ns) // 8

    def close(self) -> None:
        """Writes what is being made, and closes every file."""
        self._forget(list(self._made))
        self._pools.close()

    def _count_places(self, pool: Watched) -> None:
        before = time.perf_counter_ns()
        free = self._pools.places(pool)
        now = time.perf_counter_ns()
        if free >= 0 and now - before <= _LATE_NS:
            key = PLACES | pool.id
            made = self._made[key] = self._made.get(key) or Making(key)
            self._ring.take_in(made, now, RUNNING, free, 0)

    def _sample(self, pool: Watched, worker: int) -> None:
        try:
            if worker not in self._made:
                self._made[worker] = _first_thread(worker)
            thread = self._made[worker]
            if not isinstance(thread, Thread):
                return
            before = time.perf_counter_ns()
            words = os.pread(thread.calls, 160, 0).split(None, 2)
        except OSError:  # it has ended, or may not be read
            self._made[worker] = None
            return
        now = time.perf_counter_ns()
        if now - before <= _LATE_NS:
            state, number = self._state(words)
            self._ring.take_in(thread, now, self._pools.state(pool, worker, state, words), number, 0)

    def _end_records(self, keys: Iterable[int]) -> None:
        for key in keys:
            made = self._made.get(key)
            if made is not None:
                self._ring.end(made)

    def _forget(self, keys: Iterable[int]) -> None:
        self._end_records(keys)
        for key in keys:
            made = self._made.pop(key)
            if made is not None:
                made.close()


def _first_thread(process_id: int) -> Thread:
    folder = os.open(f"/proc/{process_id}/task", os.O_RDONLY)
    try:
        return Thread(process_id, folder)
    finally:
        os.close(folder)
