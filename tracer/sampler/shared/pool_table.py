"""Which process pools the sampler reads, too: a table in the shared memory. Part of both processes. A row is written
whole, then the number of changes goes up; who read half a row reads it again."""

import struct
from typing import NamedTuple

IDLE = 7  # state of a worker, beside those of any thread: it waits for a job, or hands a result back
POOLS = 16
_WORKERS = 32  # of one pool
CHANGES = struct.Struct("<Q")
ROW = struct.Struct(f"<7Q{_WORKERS}I")
WATCH_SIZE = CHANGES.size + POOLS * ROW.size
# records of a pool's free places in its queue of calls have this for a thread id, and the pool's row in it
PLACES = 0x8000_0000


class Watched(NamedTuple):
    """One pool. Addresses are of the sampled process; 0: none, or not known."""

    busy: int = 0  # whether a job of a request is with its workers
    places_at: int = 0  # the semaphore that counts the free places in the queue of calls
    taking_at: int = 0  # the lock of those that wait for a call
    handing_at: int = 0  # the lock of those that send a result
    calls_inode: int = 0  # of the pipe that calls come by
    results_inode: int = 0
    id: int = 0  # no two pools of a session have the same
    workers: "tuple[int, ...]" = ()


def pack(row: Watched) -> bytes:
    """Pure: a row as it stands in the table."""
    return ROW.pack(*row[:-1], *(row.workers + (0,) * _WORKERS)[:_WORKERS])


def unpack(row: "tuple[int, ...]") -> Watched:
    """Pure: the inverse of `pack`, of the row's numbers."""
    busy, places, taking, handing, calls, results, number, *workers = row
    return Watched(busy, places, taking, handing, calls, results, number, tuple(filter(None, workers)))
