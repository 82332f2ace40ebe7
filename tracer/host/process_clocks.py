"""What the kernel says of the processes of a pool: their CPU time, their time in the run queue, what they wrote.

All are read without releasing the GIL, from files that are kept open. The worker itself is not touched.
"""

import os
import time
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import ref

from whywait.tracer.host.thread_clocks import SmallReader

MOST_WORKERS = 64


class WorkerClock(NamedTuple):
    """One reading of one process; None is what this machine does not show."""

    cpu_ns: int  # of all its threads
    run_queue_ns: int | None  # of its first thread, which runs the jobs
    written: int | None  # bytes, into whatever
    turns: int | None = None  # how often its first thread had a CPU


class WorkerClocks:
    """The processes of one executor, whichever it has now. One thread may read while another closes."""

    def __init__(self, executor: Any) -> None:
        self._executor = ref(executor)
        self._reader = SmallReader()
        self._files: dict[int, tuple[int, int]] = {}
        self._closed = False
        # one process that is never replaced: who sends a result need not be asked
        self.is_one = executor._max_workers == 1 and not getattr(executor, "_max_tasks_per_child", None)

    def read(self) -> dict[int, WorkerClock]:
        """A reading of every process that lives, by its id."""
        found: dict[int, WorkerClock] = {}
        processes = self.processes() if not self._closed else []
        for process_id in processes:
            try:
                cpu_ns = time.clock_gettime_ns((~process_id << 3) | 2)  # Linux: see clock_getcpuclockid
            except OSError:
                continue
            files = self._files.get(process_id)
            if files is None:
                files = self._files[process_id] = _opened(process_id)
            schedstat, io = files
            _, queued_ns, turns = self._fields(schedstat, 3)
            written = self._fields(io, 4)[3] if not self.is_one else None
            found[process_id] = WorkerClock(cpu_ns, queued_ns, written, turns)
        if len(self._files) > len(processes):
            for process_id in self._files.keys() - set(processes):
                _close(self._files.pop(process_id, ()))
        if self._closed:  # meanwhile: what was opened after that is nobody's else
            self.close()
        return found

    def processes(self) -> list[int]:
        """The ids of the pool's processes."""
        owner = self._executor()
        processes = getattr(owner, "_processes", None) if owner is not None else None
        return list(processes or ())[:MOST_WORKERS]

    def _fields(self, fd: int, count: int) -> "list[Any]":
        words = self._reader.read(fd).split(None, 2 * count) if fd >= 0 else []
        return [None] * count if len(words) < count else [_number(word) for word in words[:count]]

    def close(self) -> None:
        """Closes the files; a later reading has nothing to say."""
        self._closed = True
        with suppress(KeyError):  # not a lock: a forked process may have inherited it as held
            while True:
                _close(self._files.popitem()[1])

    def __del__(self) -> None:
        self.close()


def _opened(process_id: int) -> tuple[int, int]:
    return _open(f"/proc/{process_id}/schedstat"), _open(f"/proc/{process_id}/io")


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _close(files: tuple[int, ...]) -> None:
    for fd in files:
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)


def _number(word: bytes) -> int | None:
    return int(word) if word.isdigit() else None
