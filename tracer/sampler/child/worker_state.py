"""Finds the state of a process pool's worker. Part of the sampler's process. One that reads the pipe of calls (known
by its inode), or queues for it, has no job; the locks are semaphores in files that all processes of the pool have
mapped."""

import mmap
import os
import platform

from whywait.tracer.sampler.child.cgroup import read_text
from whywait.tracer.sampler.shared.pool_table import CHANGES, IDLE, ROW, WATCH_SIZE, Watched, unpack

_READ, _WRITE = {"aarch64": (63, 64)}.get(platform.machine(), (0, 1))
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), -1)
_PRIVATE = 128  # a futex of one process alone
_SEMAPHORES = "/dev/shm/sem."  # noqa: S108 - where the C library maps them


class Pools:
    """The table as it stands, and what is known of the workers in it. Never raises OSError."""

    def __init__(self, process_id: int, memory: mmap.mmap, at: int) -> None:
        self._process_id = process_id
        self._memory, self._at = memory, at
        self._changes = 0
        self._semaphores: dict[int, dict[int, int]] = {}  # inodes by process and address; 0: not one
        self._fd = -1
        self.pools: list[Watched] = []

    def read(self) -> None:
        """Takes in what has changed in the table."""
        (changes,) = CHANGES.unpack_from(self._memory, self._at)
        if changes == self._changes:
            return
        self._changes = changes
        table = self._memory[self._at + CHANGES.size : self._at + WATCH_SIZE]
        self.pools = [row for row in map(unpack, ROW.iter_unpack(table)) if row.id]
        processes = {self._process_id, *(worker for row in self.pools for worker in row.workers)}
        self._semaphores = {one: self._semaphores.get(one, {}) for one in processes}

    def close(self) -> None:
        """Release the sampled process's memory."""
        if self._fd >= 0:
            os.close(self._fd)

    def places(self, pool: Watched) -> int:
        """Free places in the pool's queue of calls: one more when a worker has taken a call; -1: unknown."""
        if not pool.places_at:
            return -1
        try:
            if self._fd < 0:
                self._fd = os.open(f"/proc/{self._process_id}/mem", os.O_RDONLY | os.O_CLOEXEC)
            return int.from_bytes(os.pread(self._fd, 4, pool.places_at), "little", signed=True)
        except OSError:
            return -1

    def state(self, pool: Watched, worker: int, state: int, words: "list[bytes]") -> int:
        """What a worker does, by the state of its first thread and the words of its system call."""
        if len(words) < 3 or not words[0].isdigit():
            return state
        number, first = int(words[0]), int(words[1], 16)
        if number in (_READ, _WRITE):
            pipe = pool.calls_inode if number == _READ else pool.results_inode
            return IDLE if _inode(worker, first) == pipe else state
        if number == _FUTEX and not int(words[2].split(None, 1)[0], 16) & _PRIVATE:
            inode = self._semaphore(worker, first)
            own = (self._semaphore(self._process_id, at) for at in (pool.taking_at, pool.handing_at) if at)
            return IDLE if inode and inode in own else state
        return state

    def _semaphore(self, process_id: int, address: int) -> int:
        known = self._semaphores.setdefault(process_id, {})
        page = address & -mmap.PAGESIZE  # a semaphore has one of its own
        if page not in known:
            known.update({page: 0, **semaphores_in(read_text(f"/proc/{process_id}/maps"))})
        return known[page]


def _inode(worker: int, fd: int) -> int:
    try:
        return os.stat(f"/proc/{worker}/fd/{fd}").st_ino
    except OSError:
        return -1


def semaphores_in(maps: str) -> "dict[int, int]":
    """Pure: the inode of each semaphore in a maps file, by its address."""
    lines = (line.split(None, 5) for line in maps.splitlines())
    return {
        int(words[0].partition("-")[0], 16): int(words[4])
        for words in lines
        if len(words) == 6 and words[5].startswith(_SEMAPHORES)
    }
