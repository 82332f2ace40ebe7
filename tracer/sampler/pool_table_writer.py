"""The sampled process's side of the table of process pools: a row for each pool that lives."""

import ctypes
import mmap
import os
from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Any

from whywait.tracer.sampler.shared.pool_table import BUSY, CHANGES, PLACES, POOLS, Watched, pack, row_at

_ids = count(1)


class WatchTable:
    """Takes no lock, so that a pool may end in the midst of anything. Never raises after it was made."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory: mmap.mmap | None = memory
        self._at = at
        self._free = deque(range(POOLS))
        self._changes = count(1)

    def add(self, executor: Any) -> "WatchedPool | None":
        """The row of a pool; None where there is no room for more."""
        try:
            number = self._free.popleft()
        except IndexError:
            return None
        return WatchedPool(self, number, row_of(executor))

    def give_back(self, number: int) -> None:
        """Takes the row of a pool that has ended out."""
        if self._memory is None:
            return
        self._write(number, bytes(len(pack(Watched(0, 0, 0, 0, 0, 0, 0, ())))))
        self._free.append(number)

    def set_row(self, number: int, row: Watched) -> None:
        """Writes a row."""
        self._write(number, pack(row))

    def set_busy(self, number: int, *, busy: bool) -> None:
        """Says whether a job of a request is with a pool's workers."""
        memory = self._memory
        if memory is not None:
            try:
                BUSY.pack_into(memory, self._at + row_at(number), busy)
            except ValueError:  # closed meanwhile
                self._memory = None

    def close(self) -> None:
        """The memory is about to be given back."""
        self._memory = None

    def _write(self, number: int, text: bytes) -> None:
        memory = self._memory
        if memory is None:
            return
        begin = self._at + row_at(number)
        try:
            memory[begin : begin + len(text)] = text
            CHANGES.pack_into(memory, self._at, next(self._changes))
        except ValueError:
            self._memory = None


class WatchedPool:
    """One pool's row; given back with it."""

    def __init__(self, table: WatchTable, number: int, row: Watched) -> None:
        self._table, self._number, self._row = table, number, row
        table.set_row(number, row)

    @property
    def key(self) -> int:
        """What stands for a thread id on the records of its free places."""
        return PLACES | self._row.id

    def workers(self, process_ids: Sequence[int]) -> None:
        """Says which processes the pool has."""
        self._row = self._row._replace(workers=tuple(process_ids))
        self._table.set_row(self._number, self._row)

    def busy(self, busy: bool) -> None:
        """Says whether a job of a request is with its workers."""
        self._row = self._row._replace(busy=int(busy))
        self._table.set_busy(self._number, busy=busy)

    def __del__(self) -> None:
        self._table.give_back(self._number)


def row_of(executor: Any) -> Watched:
    """What the sampler needs to know of a pool: where its semaphores are, and which its pipes."""
    calls, results = executor._call_queue, executor._result_queue
    return Watched(
        0, _counter(calls._sem), _address(calls._rlock), _address(results._wlock), _inode(calls._reader),
        _inode(results._reader), next(_ids), (),
    )  # fmt: skip


def _address(lock: Any) -> int:
    handle = getattr(getattr(lock, "_semlock", None), "handle", 0)
    return handle if isinstance(handle, int) and handle > 0 else 0


def _counter(semaphore: Any) -> int:
    """Where the count of a semaphore stands; 0 where it is not laid out as expected."""
    address = _address(semaphore)
    if not address or not os.path.isdir("/proc/self"):
        return 0
    for _ in range(3):  # it may change between the two readings
        if ctypes.c_int32.from_address(address).value == semaphore._semlock._get_value():
            return address
    return 0


def _inode(connection: Any) -> int:
    return os.fstat(connection.fileno()).st_ino
