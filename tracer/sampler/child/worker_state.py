"""Tells what a worker of a process pool waits in: for a job, to hand a result back, or in a job. Part of the
sampler's process.

A worker that reads the pipe of calls, or queues for it, has no job. The pipe is known by its inode; the locks
are semaphores in files that all processes of the pool have mapped, each at an address of its own.
"""

import mmap
import os
import platform

from whywait.tracer.sampler.shared.pool_table import (
    BUSY,
    CHANGES,
    IDLE,
    POOLS,
    ROW,
    SENDING,
    WATCH_SIZE,
    Watched,
    row_at,
    unpack,
)  # fmt: skip

_READ, _WRITE = {"aarch64": (63, 64)}.get(platform.machine(), (0, 1))
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), -1)
_AGAIN_NS = 1_000_000_000
_SEMAPHORES = "/dev/shm/sem."  # noqa: S108 - where the C library maps them


class Pool:
    """One watched pool; `number` is its row."""

    def __init__(self, number: int, row: Watched) -> None:
        self.number = number
        self.row = row


class Mapped:
    """The semaphores that one process has mapped; read when they are asked for, as that takes milliseconds."""

    def __init__(self) -> None:
        self.inodes: dict[int, int] = {}
        self.read_ns = 0


class Pools:
    """The table as it stands, and what is known of the workers in it. Never raises OSError."""

    def __init__(self, process_id: int, memory: mmap.mmap, at: int) -> None:
        self._process_id = process_id
        self._memory, self._at = memory, at
        self._changes = 0
        self._mapped: dict[int, Mapped] = {}
        self._fd = -1
        self.pools: list[Pool] = []

    def read(self) -> None:
        """Takes in what has changed in the table."""
        (changes,) = CHANGES.unpack_from(self._memory, self._at)
        if changes == self._changes:
            return
        self._changes = changes
        table = self._memory[self._at : self._at + WATCH_SIZE]
        rows = [
            (number, unpack(table[row_at(number) : row_at(number) + ROW.size])) for number in range(POOLS)
        ]
        rows = [(number, row) for number, row in rows if row.id]
        self.pools = [Pool(number, row) for number, row in rows]
        processes = {self._process_id, *(worker for _, row in rows for worker in row.workers)}
        self._mapped = {one: self._mapped.get(one) or Mapped() for one in processes}

    def close(self) -> None:
        """Lets go of the sampled process's memory."""
        if self._fd >= 0:
            os.close(self._fd)

    def is_busy(self, pool: Pool) -> bool:
        """Whether a job of a request is with the pool's workers now."""
        return bool(BUSY.unpack_from(self._memory, self._at + row_at(pool.number))[0])

    def places(self, pool: Pool) -> int:
        """Free places in the pool's queue of calls: one more when a worker has taken a call; -1: cannot tell."""
        if not pool.row.places_at:
            return -1
        try:
            if self._fd < 0:
                self._fd = os.open(f"/proc/{self._process_id}/mem", os.O_RDONLY | os.O_CLOEXEC)
            return int.from_bytes(os.pread(self._fd, 4, pool.row.places_at), "little", signed=True)
        except OSError:
            return -1

    def state(self, pool: Pool, worker: int, state: int, words: "list[bytes]", now_ns: int) -> int:
        """What a worker does, by the state of its first thread and the words of its system call."""
        if len(words) < 2 or not words[0].isdigit():
            return state
        number, first = int(words[0]), int(words[1], 16)
        if number == _READ and self._inode(worker, first) == pool.row.calls_inode:
            return IDLE
        if number == _WRITE and self._inode(worker, first) == pool.row.results_inode:
            return SENDING
        if number == _FUTEX:
            inode = self._semaphore(worker, first, now_ns)
            if inode and inode == self._semaphore(self._process_id, pool.row.taking_at, now_ns):
                return IDLE
            if inode and inode == self._semaphore(self._process_id, pool.row.handing_at, now_ns):
                return SENDING
        return state

    @staticmethod
    def _inode(worker: int, fd: int) -> int:
        try:
            return os.stat(f"/proc/{worker}/fd/{fd}").st_ino
        except OSError:
            return -1

    def _semaphore(self, process_id: int, address: int, now_ns: int) -> int:
        mapped = self._mapped.get(process_id)
        if mapped is None or not address:
            return 0
        page = page_of(address)
        if page not in mapped.inodes and (not mapped.read_ns or now_ns - mapped.read_ns >= _AGAIN_NS):
            mapped.read_ns = now_ns
            mapped.inodes = mapped_semaphores(process_id)
        return mapped.inodes.get(page, 0)


def page_of(address: int) -> int:
    """Pure: where the page begins that an address lies in; a semaphore has one of its own."""
    return address & ~(mmap.PAGESIZE - 1)


def mapped_semaphores(process_id: int) -> "dict[int, int]":
    """The inode of each semaphore that a process has mapped, by its address; none where it cannot be read."""
    try:
        with open(f"/proc/{process_id}/maps", encoding="utf-8", errors="replace") as file:
            return semaphores_in(file.read(16_777_216))
    except OSError:
        return {}


def semaphores_in(maps: str) -> "dict[int, int]":
    """Pure: the same, of the content of a maps file."""
    found = {}
    for line in maps.splitlines():
        words = line.split(None, 5)
        if len(words) == 6 and words[5].startswith(_SEMAPHORES):
            found[int(words[0].partition("-")[0], 16)] = int(words[4])
    return found
