"""Which process pools the sampler looks at, too: a table in the shared memory, written by the sampled process.

Part of the sampler's process, and of the sampled one, which writes it. A row is written whole, then the
number of changes goes up; who read half a row reads it again.
"""

import struct
from typing import NamedTuple

IDLE, SENDING = (
    7,
    8,
)  # states of a worker, beside those of any thread: it waits for a job, or hands a result back
POOLS = 16
WORKERS = 32  # of one pool
CHANGES = struct.Struct("<Q")
ROW = struct.Struct(f"<7Q{WORKERS}I")
BUSY = struct.Struct("<Q")  # the first word of a row
WATCH_SIZE = CHANGES.size + POOLS * ROW.size
# records of a pool's free places in its queue of calls have this for a thread id, and the pool's row in it
PLACES = 0x8000_0000


class Watched(NamedTuple):
    """One pool. Addresses are of the sampled process; 0: none, or not known."""

    busy: int  # whether a job of a request is with its workers
    places_at: int  # the semaphore that counts the free places in the queue of calls
    taking_at: int  # the lock of those that wait for a call
    handing_at: int  # the lock of those that send a result
    calls_inode: int  # of the pipe that calls come by
    results_inode: int
    id: int  # no two pools of a session have the same
    workers: "tuple[int, ...]"


def pack(row: Watched) -> bytes:
    """Pure: a row as it stands in the table."""
    workers = [*row.workers[:WORKERS], *[0] * (WORKERS - len(row.workers))]
    return ROW.pack(*row[:-1], *workers)


def unpack(text: bytes) -> Watched:
    """Pure: the inverse of `pack`."""
    busy, places, taking, handing, calls, results, number, *workers = ROW.unpack(text)
    living = tuple(worker for worker in workers if worker)
    return Watched(busy, places, taking, handing, calls, results, number, living)


def row_at(number: int) -> int:
    """Pure: where a row begins in the table."""
    return CHANGES.size + number * ROW.size
