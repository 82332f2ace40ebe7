"""The sampled process's side of the table of process pools: a row for each pool that lives."""

import mmap
from collections import deque
from itertools import count

from whywait.tracer.host.process_pool_pipes import PoolPipes
from whywait.tracer.sampler.shared.pool_table import CHANGES, PLACES, POOLS, ROW, Watched, pack


class WatchTable:
    """Acquires no lock, since a pool may end at any moment. Never raises after its creation."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory: mmap.mmap | None = memory
        self._at = at
        self._changes = count(1)
        self.ids = count(1)
        self.free = deque(range(POOLS))

    def add(self, pipes: PoolPipes) -> "WatchedPool | None":
        """Return the row of a pool; None if the table is full."""
        return WatchedPool(self, pipes) if self.free else None

    def write(self, number: int, row: Watched) -> None:
        if self._memory is None:
            return
        try:
            begin = self._at + CHANGES.size + number * ROW.size
            self._memory[begin : begin + ROW.size] = pack(row)
            CHANGES.pack_into(self._memory, self._at, next(self._changes))
        except ValueError:  # closed meanwhile
            self._memory = None

    def close(self) -> None:
        """The memory is about to be released."""
        self._memory = None


class WatchedPool:
    """One pool's row; released with the pool."""

    def __init__(self, table: WatchTable, pipes: PoolPipes) -> None:
        self._row = Watched(0, *pipes, next(table.ids))
        self._table, self._number = table, table.free.popleft()
        self.key = PLACES | self._row.id  # instead of a thread id on the records of its free places
        self._set(self._row)

    def workers(self, process_ids: "list[int]") -> None:
        self._set(self._row._replace(workers=tuple(process_ids)))

    def busy(self, busy: bool) -> None:
        """Write whether its workers have a job of a request."""
        self._set(self._row._replace(busy=int(busy)))

    def _set(self, row: Watched) -> None:
        self._row = row
        self._table.write(self._number, row)

    def __del__(self) -> None:
        if hasattr(self, "_number"):
            self._table.write(self._number, Watched())
            self._table.free.append(self._number)
