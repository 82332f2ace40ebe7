"""What the kernel shows of a process pool without releasing the GIL: of each worker its CPU time, run-queue time and
written bytes; and where the pool counts its calls."""

import ctypes
import os
import time
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import ref

from whywait.tracer.host.thread_clocks import SmallReader

_MOST_WORKERS = 64


class WorkerClock(NamedTuple):
    """One reading of one process; None where this machine does not show the value."""

    cpu_ns: int  # of all its threads
    run_queue_ns: int | None  # of its first thread, which runs the jobs
    written: int | None  # bytes, to any file


class WorkerClocks:
    """The current processes of one executor. One thread may read while another closes."""

    def __init__(self, executor: Any) -> None:
        self._executor = ref(executor)
        self._reader = SmallReader()
        self._files: dict[int, list[int]] = {}
        self._closed = False

    def processes(self) -> list[int]:
        """The ids of the pool's processes."""
        owner = self._executor()
        return list(getattr(owner, "_processes", None) or ())[:_MOST_WORKERS]

    def read(self) -> dict[int, WorkerClock]:
        """Return a reading of every live process, by id."""
        found: dict[int, WorkerClock] = {}
        processes = self.processes() if not self._closed else []
        for process_id in processes:
            with suppress(OSError):
                cpu_ns = time.clock_gettime_ns((~process_id << 3) | 2)  # Linux: see clock_getcpuclockid
                if process_id not in self._files:
                    self._files[process_id] = [_opened(process_id, name) for name in ("schedstat", "io")]
                schedstat, io = self._files.get(process_id) or (-1, -1)
                found[process_id] = WorkerClock(cpu_ns, self._number(schedstat, 1), self._number(io, 3))
        for process_id in self._files.keys() - set(processes):
            self._close(process_id)
        if self._closed:  # meanwhile: nobody else closes what was opened after that
            self.close()
        return found

    def _number(self, fd: int, place: int) -> int | None:
        words = self._reader.read(fd).split(None, place + 1) if fd >= 0 else []
        return int(words[place]) if len(words) > place and words[place].isdigit() else None

    def _close(self, process_id: int) -> None:
        for fd in self._files.pop(process_id, ()):
            with suppress(OSError):
                os.close(fd)

    def close(self) -> None:
        """Closes the files; a later reading has nothing to say."""
        self._closed = True
        for process_id in list(self._files):  # no lock: a forked process may have inherited it acquired
            self._close(process_id)

    def __del__(self) -> None:
        self.close()


def _opened(process_id: int, name: str) -> int:
    try:
        return os.open(f"/proc/{process_id}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def places_at(executor: Any) -> int:
    """Return where in this process the free places of a `ProcessPoolExecutor`'s queue of calls are counted, 0 for an
    unexpected layout or an executor that was shut down."""
    lock = getattr(getattr(executor._call_queue, "_sem", None), "_semlock", None)
    if lock is None or not lock.handle > 0 or not os.path.isdir("/proc/self"):
        return 0
    for _ in range(3):  # it may change between the two readings
        if ctypes.c_int32.from_address(lock.handle).value == lock._get_value():
            return int(lock.handle)
    return 0
