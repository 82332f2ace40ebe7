"""The one meter of a thread's CPU time: the clock is read where it must be, and estimated where little time has passed.

Reading the CPU clock is a system call and costs as much as a short step or job. The thread is taken to have been
on the CPU throughout a short stretch, for at most `ESTIMATED_NS` on end, which bounds the error.
"""

from time import thread_time_ns
from typing import Final

ESTIMATED_NS: Final = 200_000  # since the latest reading
cpu_now_ns: Final = thread_time_ns  # for a thread that keeps no meter


class CpuMeter:
    """The CPU time of the thread that asks."""

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
        """Return the CPU time as the clock has it."""
        return self.at(now_ns, 0)
