"""Names of the system calls in which samples may find a thread."""

import platform
from collections.abc import Mapping
from typing import Final

from whywait.tracer.schema import SYSCALL_FUTEX

_MACHINES: Final = {
    "x86_64": {
        0: "read", 1: "write", 7: "poll", 9: "mmap", 10: "mprotect", 11: "munmap", 12: "brk", 17: "pread64",
        18: "pwrite64", 19: "readv", 20: "writev", 23: "select", 25: "mremap", 28: "madvise", 35: "nanosleep",
        42: "connect", 43: "accept", 44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 61: "wait4",
        73: "flock", 74: "fsync", 75: "fdatasync", 202: SYSCALL_FUTEX, 230: "clock_nanosleep", 232: "epoll_wait",
        247: "waitid", 257: "openat", 270: "pselect6", 271: "ppoll", 281: "epoll_pwait", 288: "accept4",
    },
    "aarch64": {
        22: "epoll_pwait", 32: "flock", 56: "openat", 63: "read", 64: "write", 65: "readv", 66: "writev",
        67: "pread64", 68: "pwrite64", 72: "pselect6", 73: "ppoll", 82: "fsync", 83: "fdatasync", 95: "waitid",
        98: SYSCALL_FUTEX, 101: "nanosleep", 115: "clock_nanosleep", 202: "accept", 203: "connect", 206: "sendto",
        207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 214: "brk", 215: "munmap", 216: "mremap", 222: "mmap",
        226: "mprotect", 233: "madvise", 242: "accept4", 260: "wait4",
    },
}  # fmt: skip
_NAMES: Final = _MACHINES.get(platform.machine(), {})


def call_name(number: int) -> str | None:
    if not _NAMES:  # another machine has other numbers
        return None
    return _NAMES.get(number, f"system call {number}")


def most_seen(calls: Mapping[int, int]) -> str | None:
    """Return the name of the most frequent system call, by counts of numbers; None if unknown."""
    return call_name(max(calls, key=lambda number: calls[number])) if calls else None
