"""What a thread truly spent: CPU, run queue and GIL by the kernel's and a preloaded yardstick's figures.

Nothing here is the tracer's. The files are read without letting go of the GIL, or asking would add to the answer.
"""

import ctypes
import gc
import os
import threading
from collections import defaultdict
from time import perf_counter_ns, thread_time_ns
from typing import Final, NamedTuple

from benchmarks.truth.record import Part, Who
from whywait.analysis.causes import Cause

YARDSTICK_VARIABLE: Final = "TRUTH_YARDSTICK"  # the shared object of testbed/gil/yardstick.c, preloaded

_pread = ctypes.PyDLL(None).pread
_pread.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_long)


class _File:
    """The calling thread's schedstat; closed with its thread."""

    def __init__(self) -> None:
        self.number = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        self.text = ctypes.create_string_buffer(96)

    def __del__(self) -> None:
        os.close(self.number)


_local = threading.local()


def run_queue_ns() -> int:
    """How long the calling thread has been runnable without a CPU in its life."""
    file: _File | None = getattr(_local, "file", None)
    if file is None:
        file = _local.file = _File()
    length = _pread(file.number, file.text, 95, 0)
    return int(file.text.raw[:length].split()[1])


def _yardstick() -> "ctypes._NamedFuncPointer | None":
    path = os.environ.get(YARDSTICK_VARIABLE)
    if not path:
        return None
    function = ctypes.PyDLL(path).gil_waited_ns
    function.restype = ctypes.c_uint64
    return function


_waited = _yardstick()


class _Collected(NamedTuple):
    wall_ns: int = 0
    cpu_ns: int = 0
    queue_ns: int = 0


_collected: defaultdict[int, _Collected] = defaultdict(_Collected)  # by thread, since it began
_begun: dict[int, _Collected] = {}


def on_collection(phase: str, info: dict[str, int]) -> None:
    """For gc.callbacks."""
    thread, young = threading.get_ident(), info["generation"] < 2
    # a young collection is short: what it did without a CPU is not asked
    now = _Collected(perf_counter_ns(), thread_time_ns(), 0 if young else run_queue_ns())
    if phase == "start":
        _begun[thread] = now
    elif (begun := _begun.pop(thread, None)) is not None:
        _collected[thread] = _Collected(
            *(old + after - before for old, after, before in zip(_collected[thread], now, begun, strict=True))
        )


def watch_collections() -> None:
    """From now on collections are told apart from computing. Called once by the service."""
    if on_collection not in gc.callbacks:
        gc.callbacks.append(on_collection)


class Spent(NamedTuple):
    """Of one thread between two moments; CPU and run queue of its garbage collections are `gc_ns` alone."""

    wall_ns: int
    cpu_ns: int
    queue_ns: int
    gil_ns: int  # 0 where there is no yardstick
    gc_ns: int

    def without(self, part: "Spent") -> "Spent":
        """What is left of it beside a part of it."""
        return Spent(*(whole - of_it for whole, of_it in zip(self, part, strict=True)))

    @property
    def without_cpu_ns(self) -> int:
        """Of a stretch that waits for nothing but the GIL: in the run queue, or throttled, which is not counted there."""
        return max(self.wall_ns - self.cpu_ns - self.gil_ns - self.gc_ns, 0)

    @property
    def blocked_ns(self) -> int:
        """Neither running, nor runnable, nor collecting."""
        return max(self.wall_ns - self.cpu_ns - self.queue_ns - self.gc_ns, 0)

    @property
    def asleep_ns(self) -> int:
        """Blocked on something that is not the GIL."""
        return max(self.blocked_ns - self.gil_ns, 0)


NOTHING: Final = Spent(0, 0, 0, 0, 0)
Reading = Spent  # the same figures since the thread began


def read() -> Reading:
    """The calling thread's figures now."""
    waited = _waited() if _waited is not None else 0
    of_gc = _collected[threading.get_ident()]
    return Reading(
        perf_counter_ns(), thread_time_ns() - of_gc.cpu_ns, run_queue_ns() - of_gc.queue_ns, waited, of_gc.wall_ns
    )


def since(before: Reading) -> Spent:
    """What the calling thread spent since."""
    now = read()
    return now.without(before)


def gil_of(spent: Spent) -> int:
    """GIL wait of a stretch of Python that waits for nothing else."""
    return spent.gil_ns if _waited is not None else spent.blocked_ns


def parts_of(spent: Spent, by: Who | None = None, of: Cause = Cause.COMPUTE) -> list[Part]:
    """The causes of a stretch of running, or (`of` is BLOCKING_IO) of sleeping; `by` did it."""
    own = spent.cpu_ns if of is Cause.COMPUTE else spent.asleep_ns
    gil_ns = gil_of(spent) if of is Cause.COMPUTE else spent.gil_ns
    return [
        Part(of, own, by),
        Part(Cause.CPU_WAIT, spent.queue_ns),
        Part(Cause.GIL_WAIT, gil_ns),
        Part(Cause.GC_PAUSE, spent.gc_ns),
    ]
