"""Which process pools the sampler reads, too: a table in the shared memory. Part of both processes. A row is written
whole, then the number of changes goes up; who read half a row reads it again."""

import mmap
import struct
from collections import deque
from itertools import count

POOLS = 16
_WORKERS = 32  # of one pool
CHANGES = struct.Struct("<Q")
# whether a job of a request runs, the key of its free places (0: there is no pool), where they are counted, its workers
ROW = struct.Struct(f"<3Q{_WORKERS}I")
WATCH_SIZE = CHANGES.size + POOLS * ROW.size
# records of a pool's free places in its queue of calls have this for a thread id, and the pool's number in it
PLACES = 0x8000_0000


class WatchTable:
    """Acquires no lock, since a pool may end at any moment. Never raises after its creation."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory: mmap.mmap | None = memory
        self._at = at
        self._changes = count(1)
        self.numbers = count(1)
        self.free = deque(range(POOLS))

    def add(self, places_at: int) -> "WatchedPool | None":
        """Return the row of a pool; None if the table is full. `places_at`: an address, 0 where it is not known."""
        return WatchedPool(self, places_at) if self.free else None

    def write(self, row: int, *values: int) -> None:
        """Write a row; without values it is a pool's no more."""
        if self._memory is None:
            return
        try:
            begin = self._at + CHANGES.size + row * ROW.size
            self._memory[begin : begin + ROW.size] = ROW.pack(*(values + (0,) * (3 + _WORKERS))[: 3 + _WORKERS])
            CHANGES.pack_into(self._memory, self._at, next(self._changes))
        except ValueError:  # closed meanwhile
            self._memory = None

    def close(self) -> None:
        """The memory is about to be released."""
        self._memory = None


class WatchedPool:
    """One pool's row; released with the pool."""

    def __init__(self, table: WatchTable, places_at: int) -> None:
        self.key = PLACES | next(table.numbers)  # no two pools of a session have the same
        self._table, self._places_at, self._row = table, places_at, table.free.popleft()

    def show(self, workers: "list[int]", *, busy: bool) -> None:
        """Write which processes it has, and whether a job of a request runs."""
        self._table.write(self._row, busy, self.key, self._places_at, *workers)

    def __del__(self) -> None:
        if hasattr(self, "_row"):
            self._table.write(self._row)
            self._table.free.append(self._row)
