"""Reads the current thread's CPU time and run-queue time from the kernel. `os.pread` would release the GIL, and then
cost milliseconds that are not a wait of the request."""

import ctypes
import os
import threading
import time
from contextlib import suppress
from typing import Any, Final

from whywait.tracer.host.native import native_core
from whywait.tracer.host.own_file import OwnFile

try:
    import resource
except ImportError:  # not Unix
    resource = None  # type: ignore[assignment]

_PATH = "/proc/thread-self/schedstat"
_SIZE = 63
_SHARE: Final = 8  # one in so many of the descriptors that the process may have

try:
    _pread = ctypes.PyDLL(None).pread
    _pread.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]
    _pread.restype = ctypes.c_ssize_t
    # the same for arguments that are C values: converting Python's costs as much as the call
    _pread_made = ctypes.PyDLL(None).pread
except (OSError, AttributeError):  # no C library to ask: the signal is unavailable
    _pread = _pread_made = None  # type: ignore[assignment]


_read_schedstat: Final = getattr(native_core.module, "read_schedstat", None)


class _Open(dict[int, OwnFile]):
    """The descriptors of this process, of all sessions."""

    generation = 0  # of descriptors: those of an earlier generation are closed, and their numbers may be reused
    is_over = False  # no session runs: a call that it watched may still end, and would open one that nobody closes


_open_fds = _Open()


class _Kept:
    """A thread's open file, and its read buffer; closed with the thread or by `close_all`."""

    __slots__ = ("arguments", "buffer", "closer", "fd", "generation")

    def __init__(self) -> None:
        self.generation = _open_fds.generation
        self.buffer = ctypes.create_string_buffer(_SIZE + 1)
        self.arguments: tuple[Any, ...] | None = None  # of `pread`; None: it cannot be read
        self.closer: _Closer | None = None
        if _open_fds.is_over or _is_share_taken():
            return
        try:
            fd = os.open(_PATH, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        _open_fds[fd] = OwnFile(fd)
        if _open_fds.is_over or self.generation != _open_fds.generation:  # the session ended while this opened
            _close(fd)
            return
        self.fd = fd
        self.closer = _Closer(fd)
        address = ctypes.c_void_p(ctypes.addressof(self.buffer))
        self.arguments = ctypes.c_int(fd), address, ctypes.c_size_t(_SIZE), ctypes.c_long(0)


def _is_share_taken() -> bool:
    """Whether as many files are open as whywait may take of those that the service may: further threads have none."""
    limit = -1 if resource is None else resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 0 <= limit // _SHARE <= len(_open_fds)


class _Reader(threading.local):
    kept: _Kept | None = None


class _Closer:
    """A thread-local object, so that it is freed with the thread."""

    __slots__ = ("_close", "_fd")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._close = _close

    def __del__(self) -> None:
        self._close(self._fd)


def _close(fd: int, fds: dict[int, OwnFile] = _open_fds) -> None:
    # the default keeps a reference for interpreter exit, when module globals are gone
    file = fds.pop(fd, None)
    if file is not None:
        file.close()


_reader = _Reader()


def run_queue_ns() -> int | None:
    """Return this thread's run-queue time since it began, ns; None where not observable, and after `close_all`."""
    kept = _reader.kept
    if kept is None or kept.generation != _open_fds.generation:
        kept = _reader.kept = None  # its descriptor number may be reused from here on: it must not be closed twice
        kept = _reader.kept = _Kept()
    if kept.arguments is None:
        return None
    if _read_schedstat is not None:
        return _read_schedstat(kept.fd)  # type: ignore[no-any-return]
    if _pread_made(*kept.arguments) < 4:
        return None
    fields = kept.buffer.value.split(None, 2)  # its numbers only grow: no byte of an earlier reading remains
    return int(fields[1]) if len(fields) > 1 else None


NOT_COUNTED: Final = -1
_OWN: Final = getattr(resource, "RUSAGE_THREAD", None)
_VOLUNTARY_SWITCHES: Final = 14  # its place in what `getrusage` returns, which is faster than its name


def sleeps() -> int:
    """Return the number of this thread's voluntary context switches; `NOT_COUNTED` where not observable."""
    return resource.getrusage(_OWN)[_VOLUNTARY_SWITCHES] if _OWN is not None else NOT_COUNTED


def cpu_ns_of(thread_id: int) -> int:
    """Return the CPU time of a thread of this process so far, by its native id, ns; 0 where the kernel does not tell."""
    with suppress(OSError, AttributeError, ValueError):
        return time.clock_gettime_ns((~thread_id << 3) | 6)  # Linux: see pthread_getcpuclockid
    return 0


class SmallReader:
    """Reads the first bytes of open files without releasing the GIL. Not thread-safe."""

    def __init__(self, size: int = 160) -> None:
        self._buffer = ctypes.create_string_buffer(size)
        self._address = ctypes.addressof(self._buffer)
        self._size = size

    def read(self, fd: int) -> bytes:
        """Return the beginning of the file; b"" if it cannot be read."""
        length = _pread(fd, self._address, self._size, 0) if _pread is not None else 0
        return self._buffer.raw[:length] if length > 0 else b""


def run_queue_available() -> bool:
    """Return whether this machine shows a thread's run-queue time, which is read from now on. Called by `start`."""
    if _open_fds.is_over:
        _open_fds.is_over = False
        _open_fds.generation += 1
    return _pread is not None and run_queue_ns() is not None


def close_all() -> None:
    """Close every descriptor, and open none until the next `run_queue_available`. Called by `stop`."""
    _open_fds.is_over = True
    _open_fds.generation += 1
    for fd in list(_open_fds):
        _close(fd)
