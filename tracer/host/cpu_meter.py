"""Measures a thread's CPU time: reads the clock, a system call, or counts a short stretch as on CPU throughout, for
at most `ESTIMATED_NS` in a row."""

from time import thread_time_ns
from typing import TYPE_CHECKING, Final

from whywait.tracer.host.native import native_core

ESTIMATED_NS: Final = 200_000  # since the latest reading
cpu_now_ns: Final = thread_time_ns  # for a thread without a meter


class CpuMeter:
    """The CPU time of the calling thread."""

    __slots__ = ("_read_ns", "at_ns", "cpu_ns")

    def __init__(self) -> None:
        self.cpu_ns = 0  # at `at_ns`, read or estimated
        self.at_ns = 0
        self._read_ns = 0  # when the clock was last read

    def at(self, now_ns: int, longest_ns: int) -> int:
        """Return the CPU time at `now_ns`, which is now; a stretch under `longest_ns` since `at_ns` may be estimated."""
        gap_ns = now_ns - self.at_ns
        self.at_ns = now_ns
        if gap_ns < longest_ns and now_ns - self._read_ns < ESTIMATED_NS:
            self.cpu_ns = cpu_ns = self.cpu_ns + gap_ns
        else:
            self.cpu_ns = cpu_ns = thread_time_ns()
            self._read_ns = now_ns
        return cpu_ns

    def read(self, now_ns: int) -> int:
        """Return the CPU time from the clock, ns."""
        return self.at(now_ns, 0)


if not TYPE_CHECKING and native_core.module is not None:
    CpuMeter = native_core.module.CpuMeter  # the same, which both cores may use
