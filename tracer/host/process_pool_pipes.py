"""Finds the locks, the semaphore and the pipes of a process pool's queues."""

import ctypes
import os
from typing import Any, NamedTuple


class PoolPipes(NamedTuple):
    """Addresses in this process, 0 for a semaphore with an unexpected layout; and inodes."""

    places_at: int  # the semaphore that counts the free places in the queue of calls
    taking_at: int  # the lock of workers that wait for a call
    handing_at: int  # the lock of workers that send a result
    calls_inode: int  # of the pipe of calls
    results_inode: int


def pipes_of(executor: Any) -> PoolPipes:
    """Return the channels between a `ProcessPoolExecutor` and its workers. Raises AttributeError for another layout."""
    calls, results = executor._call_queue, executor._result_queue
    return PoolPipes(
        _counter(calls._sem), _address(calls._rlock), _address(results._wlock), _inode(calls._reader),
        _inode(results._reader),
    )  # fmt: skip


def _address(lock: Any) -> int:
    handle = getattr(getattr(lock, "_semlock", None), "handle", 0)
    return handle if isinstance(handle, int) and handle > 0 else 0


def _counter(semaphore: Any) -> int:
    """Return the address of a semaphore's count; 0 for an unexpected layout."""
    address = _address(semaphore)
    if not address or not os.path.isdir("/proc/self"):
        return 0
    for _ in range(3):  # it may change between the two readings
        if ctypes.c_int32.from_address(address).value == semaphore._semlock._get_value():
            return address
    return 0


def _inode(connection: Any) -> int:
    return os.fstat(connection.fileno()).st_ino
