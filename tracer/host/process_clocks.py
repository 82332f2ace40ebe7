"""What the kernel shows of a process pool without releasing the GIL: of each worker its CPU time, run-queue time and
written bytes; and where the pool counts its calls."""

import ctypes
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import ref

from whywait.tracer.host.own_file import OwnFile
from whywait.tracer.host.thread_clocks import SmallReader

_MOST_WORKERS = 64


class WorkerClock(NamedTuple):
    """One reading of one process; 0 where this machine does not show the value."""

    cpu_ns: int  # of all its threads
    run_queue_ns: int  # of its first thread, which runs the jobs
    written: int = 0  # bytes, to any file


class WorkerClocks:
    """The current processes of one executor or `multiprocessing.Pool`. One thread may read while another closes."""

    def __init__(self, executor: Any) -> None:
        # records of its jobs keep this for longer; who closes it lets go of this reference, and of the circle
        self._executor: Callable[[], Any] = ref(executor, lambda _: self.close())
        self._reader = SmallReader()
        self._files: dict[int, tuple[_File, _File]] = {}

    def processes(self) -> list[int]:
        owner = self._executor()
        found = getattr(owner, "_pool", None)  # of a multiprocessing.Pool
        ids = getattr(owner, "_processes", None) if found is None else [one.pid for one in tuple(found)]
        return list(ids or ())[:_MOST_WORKERS]

    def read(self) -> dict[int, WorkerClock]:
        """Return a reading of every live process, by id."""
        found, before, self._files = dict[int, WorkerClock](), self._files, {}
        for one in self.processes():
            with suppress(OSError):
                cpu_ns = time.clock_gettime_ns((~one << 3) | 2)  # Linux: see clock_getcpuclockid
                files = self._files[one] = before.get(one) or (_File(one, "schedstat"), _File(one, "io"))
                found[one] = WorkerClock(cpu_ns, self._number(files[0], 1), self._number(files[1], 3))
        if self._executor() is None:  # it may be closed meanwhile
            self._files = {}
        return found

    def _number(self, file: "_File", place: int) -> int:
        words = self._reader.read(file.fd).split(None, place + 1)
        return int(words[place]) if len(words) > place and words[place].isdigit() else 0

    def close(self) -> None:
        """Closes the files; a later reading has nothing to say."""
        self._executor, self._files = lambda: None, {}


class _File(OwnFile):
    """Open until nobody reads it any more."""

    def __init__(self, process_id: int, name: str) -> None:
        super().__init__(-1)
        with suppress(OSError):
            super().__init__(os.open(f"/proc/{process_id}/{name}", os.O_RDONLY | os.O_CLOEXEC))

    def __del__(self) -> None:
        self.close()


def places_at(executor: Any) -> int:
    """Return where in this process the free places of a `ProcessPoolExecutor`'s queue of calls are counted, 0 for an
    unexpected layout, an executor that was shut down, or a pool without places."""
    lock = getattr(getattr(getattr(executor, "_call_queue", None), "_sem", None), "_semlock", None)
    if lock is None or not lock.handle > 0 or not os.path.isdir("/proc/self"):
        return 0
    counted = ctypes.c_int32.from_address(lock.handle)  # it may change between two readings
    return int(lock.handle) if any(counted.value == lock._get_value() for _ in range(3)) else 0
