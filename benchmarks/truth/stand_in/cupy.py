"""Stands in for CuPy where there is no GPU: a device that serves copies one after the other, and tells its time.

It shows to whom time on a device is given; it says nothing of a real GPU's figures.
"""

import ctypes
import threading
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any, ClassVar

_usleep = ctypes.CDLL(None).usleep  # as a driver waits: in C, in nothing that Python knows


class Timeline:
    """When the device will be done with all that was asked of it."""

    free_ns: ClassVar[int] = 0
    lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def take(cls, length_ns: int) -> tuple[int, int]:
        """The stretch that the device will work for the caller."""
        with cls.lock:
            begin_ns = max(cls.free_ns, perf_counter_ns())
            cls.free_ns = begin_ns + length_ns
        return begin_ns, cls.free_ns


class _Copied(threading.local):
    """This thread's latest copy: its stream."""

    begin_ns = end_ns = 0


_copied = _Copied()


class Event:
    """A mark in a thread's stream: passed when what was asked for before it is done."""

    def __init__(self) -> None:
        self.at_ns = 0
        self.copied = (0, 0)

    def record(self) -> None:
        """Marks where the stream stands."""
        self.at_ns = perf_counter_ns()
        self.copied = (_copied.begin_ns, _copied.end_ns)

    @property
    def done(self) -> bool:
        """Always: copies are over when they return."""
        return True


def get_elapsed_time(begun: Event, ended: Event) -> float:
    """Milliseconds that the device worked between the two."""
    begin_ns, end_ns = ended.copied
    return max(end_ns - max(begin_ns, begun.at_ns), 0) / 1e6


class _OnDevice:
    def __init__(self, ordinal: int) -> None:
        self.ordinal = ordinal

    def __enter__(self) -> "_OnDevice":
        return self

    def __exit__(self, *error: object) -> None:
        return None


cuda = SimpleNamespace(
    Event=Event, Device=_OnDevice, get_elapsed_time=get_elapsed_time, runtime=SimpleNamespace(getDevice=lambda: 0)
)


def asarray(seconds: float) -> tuple[int, int]:
    """A copy that keeps the device so long; from when to when it did, ns."""
    begin_ns, end_ns = Timeline.take(int(seconds * 1e9))
    while (left_ns := end_ns - perf_counter_ns()) > 0:
        _usleep(max(left_ns // 1_000, 1))
    _copied.begin_ns, _copied.end_ns = begin_ns, end_ns
    return begin_ns, end_ns


def asnumpy(seconds: Any) -> tuple[int, int]:
    """A copy back."""
    return asarray(seconds)
