"""Which process pools the sampler reads, too: a table in the shared memory, written by the sampled process.

Part of the sampler's process, and of the sampled one. A row is written whole, then the number of changes goes
up; who read half a row reads it again.
"""

import struct
from typing import NamedTuple

POOLS = 16
_WORKERS = 32  # of one pool
CHANGES = struct.Struct("<Q")
ROW = struct.Struct(f"<5Q{_WORKERS}I")
WATCH_SIZE = CHANGES.size + POOLS * ROW.size
# records of the bytes in a pool's pipes have this for a thread id, and the number of the pipe in it
PIPE = 0x8000_0000


class Watched(NamedTuple):
    """One pool that has a job of a request."""

    key: int = 0  # of its pipe of calls; the pipe of results has the next one
    calls: int = 0  # descriptors in the sampled process, and inodes
    calls_inode: int = 0
    results: int = 0
    results_inode: int = 0
    workers: "tuple[int, ...]" = ()


def pack(row: Watched) -> bytes:
    """Pure: a row as it stands in the table."""
    return ROW.pack(*row[:-1], *(row.workers + (0,) * _WORKERS)[:_WORKERS])


def unpack(row: "tuple[int, ...]") -> Watched:
    """Pure: the inverse of `pack`, of the row's numbers."""
    key, calls, calls_inode, results, results_inode, *workers = row
    return Watched(key, calls, calls_inode, results, results_inode, tuple(filter(None, workers)))
