"""Samples the process pools with a job of a request: the free places in their queues of calls, of which there is one
more when a worker has taken a call, and the first thread of each worker, which runs the jobs. Part of the sampler's
process."""

import mmap
import os
import time
from collections.abc import Callable, Iterable

from whywait.tracer.sampler.child.cgroup import read_text
from whywait.tracer.sampler.child.record_writer import Making, Ring, Thread
from whywait.tracer.sampler.shared.pool_table import CHANGES, ROW, STARTING, WATCH_SIZE
from whywait.tracer.sampler.shared.thread_records import RUNNING, WATCH_AT

_LATE_NS = 1_000_000  # this process was in the run queue between reading and asking the clock: it was so, but when?
_EVERY_NS = 5_000_000
_MOST_OF_A_CORE = 0.01
_INT = 2**31 - 1


class PoolSweeps:
    """`state` returns a thread's state by the words of its `syscall` file. Only its creation raises OSError."""

    def __init__(self, process_id: int, memory: mmap.mmap, ring: Ring, state: Callable[..., tuple[int, int]]) -> None:
        self._memory, self._ring, self._state = memory, ring, state
        self._sampled = os.open(f"/proc/{process_id}/mem", os.O_RDONLY | os.O_CLOEXEC)
        self._proc = os.open("/proc", os.O_RDONLY | os.O_CLOEXEC)
        self._changes = self._cost_ns = 0  # of the table; of a sweep, CPU time: the mean of the latest
        # by the id of its records: whether it is busy, where free places are counted (0: a worker), whether it may start
        self._rows: dict[int, tuple[int, int, int]] = {}
        self._made: dict[int, Making] = {}

    def next_ns(self, now_ns: int) -> int:
        """When to read the next time, at the latest; 0 where there is no pool."""
        return now_ns + max(_EVERY_NS, int(self._cost_ns / _MOST_OF_A_CORE)) if self._rows else 0

    def sweep(self) -> None:
        """Reads each pool that is busy once."""
        began_ns = time.thread_time_ns()
        (changes,) = CHANGES.unpack_from(self._memory, WATCH_AT)
        if changes != self._changes:
            self._changes = changes
            self._read_table()
        for key, (busy, address, starting) in self._rows.items():
            if busy:
                self._sample(key, address, starting)
            elif made := self._made.get(key):  # its next record begins when it is busy again
                self._ring.end(made)
        self._cost_ns += (time.thread_time_ns() - began_ns - self._cost_ns) // 8

    def close(self) -> None:
        self._forget(list(self._made))
        os.close(self._sampled)
        os.close(self._proc)

    def _read_table(self) -> None:
        self._rows = {}
        table = self._memory[WATCH_AT + CHANGES.size : WATCH_AT + WATCH_SIZE]
        for busy, key, address, *workers in ROW.iter_unpack(table):
            self._rows.update({worker & ~STARTING: (busy, 0, worker & STARTING) for worker in workers if worker})
            if address:
                self._rows[key] = busy, address, 0
        self._forget(self._made.keys() - self._rows.keys())

    def _sample(self, key: int, address: int, starting: int) -> None:
        try:
            if key not in self._made:
                self._made[key] = Making(key) if address else Thread(key, self._proc)
            made = self._made[key]
            before_ns = time.perf_counter_ns()
            if isinstance(made, Thread):
                seen = self._state(os.pread(made.calls, 160, 0).split(None, 2))
                if seen[0] == RUNNING and starting:  # how often it has read so far: it reads much while it imports
                    words = read_text(f"/proc/{key}/io").split(None, 6)
                    seen = RUNNING, int(words[5]) & _INT if len(words) > 5 else 0
            else:
                seen = RUNNING, int.from_bytes(os.pread(self._sampled, 4, address), "little", signed=True)
        except OSError:  # it has ended, or may not be read
            self._forget([key])
        else:
            now_ns = time.perf_counter_ns()
            if now_ns - before_ns <= _LATE_NS:
                self._ring.take_in(made, now_ns, *seen, 0)

    def _forget(self, keys: Iterable[int]) -> None:
        for key in keys:
            made = self._made.pop(key, None)
            if made is not None:
                self._ring.end(made)
                made.close()
