"""Reads the processes of a pool from the kernel, without releasing the GIL: CPU time, run-queue time, written
bytes."""

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
    switches: int | None = None  # how often its first thread was put on a CPU


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
                _, queued_ns, switches = self._numbers(schedstat, (0, 1, 2))
                (written,) = self._numbers(io, (3,))
                found[process_id] = WorkerClock(cpu_ns, queued_ns, written, switches)
        for process_id in self._files.keys() - set(processes) if len(self._files) > len(processes) else ():
            self._close(process_id)
        if self._closed:  # meanwhile: nobody else closes what was opened after that
            self.close()
        return found

    def _numbers(self, fd: int, places: tuple[int, ...]) -> "list[int | None]":
        words = self._reader.read(fd).split(None, places[-1] + 1) if fd >= 0 else []
        return [int(words[at]) if len(words) > at and words[at].isdigit() else None for at in places]

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
