"""Which process pools the sampler reads, too: a table in the shared memory. Part of both processes. A row is written
whole, then the number of changes goes up; who read half a row reads it again."""

import mmap
import struct
from collections.abc import Iterable
from contextlib import suppress
from itertools import count

POOLS = 16  # the latest; others are not sampled
_WORKERS = 32  # of one pool
CHANGES = struct.Struct("<Q")
# whether a job of a request runs, the key of its free places, where in the sampled process they are counted (0: it is
# not known), its workers, those that may be starting with `STARTING`
ROW = struct.Struct(f"<3Q{_WORKERS}I")
WATCH_SIZE = CHANGES.size + POOLS * ROW.size
# records of a pool's free places in its queue of calls have this for a thread id, and the pool's number in it
PLACES = STARTING = 0x8000_0000


class WatchTable:
    """Acquires no lock, since any thread may call it. Never raises after its creation."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory, self._at = memory, at
        self._changes, self._numbers = count(1), count(1)

    def new_key(self) -> int:
        return PLACES | next(self._numbers)

    def show(self, key: int, places_at: int, workers: Iterable[int], *, busy: bool) -> None:
        with suppress(ValueError):  # the memory was released
            begin = self._at + CHANGES.size + key % POOLS * ROW.size
            row = busy, key, places_at, *workers, *[0] * _WORKERS
            self._memory[begin : begin + ROW.size] = ROW.pack(*row[: 3 + _WORKERS])
            CHANGES.pack_into(self._memory, self._at, next(self._changes))
