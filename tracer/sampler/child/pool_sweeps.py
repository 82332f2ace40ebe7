"""Reads the process pools that have a job of a request: what their workers do, and how much is in their pipes.

Part of the sampler's process. Of a worker only its first thread is read, which runs the jobs. A call leaves its
pipe when a worker takes it, and a result enters its pipe when the worker is done: nobody else needs to say so.
"""

import contextlib
import fcntl
import mmap
import os
import termios
import time
from collections.abc import Callable, Iterable

from whywait.tracer.sampler.child.record_writer import Making, Ring, Thread
from whywait.tracer.sampler.shared.pool_table import WATCH, WATCH_SIZE
from whywait.tracer.sampler.shared.thread_records import RUNNING, WATCH_AT

# this process was in the run queue between reading and asking the clock: it was so, but when?
_LATE_NS = 1_000_000
_EVERY_NS = 5_000_000
_MOST_OF_A_CORE = 0.01
_MOST_OPEN = 64  # workers and pipes of which something is kept while their pool has nothing to do
State = Callable[["list[bytes]"], "tuple[int, int]"]


class PoolSweeps:
    """`state` returns a thread's state by the words of its `syscall` file. Never raises OSError."""

    def __init__(self, process_id: int, memory: mmap.mmap, ring: Ring, state: State) -> None:
        self._folder = -1
        with contextlib.suppress(OSError):
            self._folder = os.open(f"/proc/{process_id}/fd", os.O_RDONLY)
        self._memory, self._ring, self._state = memory, ring, state
        self._changes = 0
        self.pools: list[list[int]] = []
        self._made: dict[int, Making] = {}  # by process id, and by key of a pipe
        self._cost_ns = 0  # of a sweep, CPU time: the mean of the latest

    def next_ns(self, now_ns: int) -> int:
        """When to read the next time, at the latest; 0 where there never was a pool."""
        return now_ns + max(_EVERY_NS, int(self._cost_ns / _MOST_OF_A_CORE)) if self._changes else 0

    def sweep(self) -> None:
        """Reads each pool of the table once."""
        began_ns = time.thread_time_ns()
        self._read_table()
        for key, calls, calls_inode, results, results_inode, *workers in self.pools:
            self._count(key, calls, calls_inode)
            self._count(key + 1, results, results_inode)
            for worker in workers:
                self._sample(worker)
        self._cost_ns += (time.thread_time_ns() - began_ns - self._cost_ns) // 8

    def close(self) -> None:
        """Writes what is being made, and closes every file."""
        self._forget(list(self._made))
        if self._folder >= 0:
            os.close(self._folder)

    def _read_table(self) -> None:
        changes, length = WATCH.unpack_from(self._memory, WATCH_AT)
        if changes == self._changes or changes % 2:
            return
        text = self._memory[WATCH_AT + WATCH.size : WATCH_AT + min(WATCH.size + length, WATCH_SIZE)]
        if WATCH.unpack_from(self._memory, WATCH_AT)[0] != changes:
            return
        self._changes = changes
        self.pools = [[*map(int, line.split())] for line in text.splitlines()]
        present = {key for row in self.pools for key in (row[0], row[0] + 1, *row[5:])}
        absent = self._made.keys() - present
        for key in absent:  # its next record begins when it is busy again
            self._ring.end(self._made[key])
        if len(absent) > _MOST_OPEN:
            self._forget(absent)

    def _count(self, key: int, fd: int, inode: int) -> None:
        before = time.perf_counter_ns()
        try:
            number = bytes_in(self._folder, str(fd), inode)
        except OSError:  # it was closed, or may not be read
            return
        self._take_in(self._made.setdefault(key, Making(key)), before, RUNNING, number)

    def _sample(self, worker: int) -> None:
        try:
            thread = self._made.get(worker)
            if not isinstance(thread, Thread):
                thread = self._made[worker] = _first_thread(worker)
            before = time.perf_counter_ns()
            words = os.pread(thread.calls, 160, 0).split(None, 2)
        except OSError:  # it has ended, or may not be read
            self._forget([worker])
            return
        self._take_in(thread, before, *self._state(words))

    def _take_in(self, made: Making, before: int, state: int, number: int) -> None:
        now = time.perf_counter_ns()
        if now - before <= _LATE_NS:
            self._ring.take_in(made, now, state, number, 0)

    def _forget(self, keys: Iterable[int]) -> None:
        for key in keys:
            made = self._made.pop(key, None)
            if made is not None:
                self._ring.end(made)
                made.close()


def bytes_in(folder: int, name: str, inode: int) -> int:
    """How many bytes are in a pipe, which is not kept open: its writers are to learn when its readers have gone."""
    if os.stat(name, dir_fd=folder).st_ino != inode:
        raise FileNotFoundError(name)
    fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), "little")
    finally:
        os.close(fd)


def _first_thread(process_id: int) -> Thread:
    folder = os.open(f"/proc/{process_id}/task", os.O_RDONLY)
    try:
        return Thread(process_id, folder)
    finally:
        os.close(folder)
