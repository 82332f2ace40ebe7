"""What the workers of the process pools under test do: a module of its own, which is imported in no time."""

import multiprocessing.util
import time
from typing import Any, NamedTuple

from tests.kernel import run_queue_ns

LONG_S = 0.12
pickled: list[tuple[float, float]] = []


class Nap(NamedTuple):
    """From when to when, in ms: processes share the clock."""

    began_ms: float
    ended_ms: float
    lacked_ms: float  # of it, awake and without a CPU

    @property
    def asleep_ms(self) -> float:
        return self.ended_ms - self.began_ms - self.lacked_ms


def nap(seconds: float) -> Nap:
    """Sleeps."""
    began_ns, lacked_ns = time.perf_counter_ns(), run_queue_ns()
    time.sleep(seconds)
    return Nap(began_ns / 1e6, time.perf_counter_ns() / 1e6, (run_queue_ns() - lacked_ns) / 1e6)


def end_slowly() -> None:
    """Lets its process take so long to end."""
    multiprocessing.util.Finalize(None, time.sleep, (LONG_S,), exitpriority=0)


def spin(seconds: float) -> float:
    """Computes; how long, in ms of CPU."""
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass
    return (time.process_time() - began) * 1e3


class Parcel:
    """Takes long to pickle, and notes the CPU that it took."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        began, wall = time.thread_time(), time.perf_counter()
        while time.thread_time() - began < self.seconds:
            pass
        pickled.append(((time.thread_time() - began) * 1e3, (time.perf_counter() - wall) * 1e3))
        return Parcel, (0.0,)


def open_parcel(_: Parcel) -> None:
    """What the worker does with it."""


class Heavy:
    """Takes long to unpickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return spin, (LONG_S,)


def heavy() -> Heavy:
    return Heavy()


def measure(data: bytes) -> int:
    return len(data)
