"""Joins two clocks: durations are monotonic, wall time is derived at export from an anchor."""

import time
from time import perf_counter_ns

_STEP_NS = 1_000_000  # a wall clock that moved more than this against the monotonic one was set


class Clock:
    """Converts `perf_counter_ns` readings to nanoseconds since the epoch."""

    __slots__ = ("_offset_ns",)

    def __init__(self) -> None:
        self._offset_ns = _measure_offset_ns()

    def unix_ns(self, perf_ns: int) -> int:
        """`perf_ns` as integer nanoseconds since the epoch."""
        return perf_ns + self._offset_ns

    def follow(self) -> bool:
        """Join the clocks again if the wall clock was set; True if it was. Called periodically."""
        offset_ns = _measure_offset_ns()
        if abs(offset_ns - self._offset_ns) < _STEP_NS:
            return False
        self._offset_ns = offset_ns
        return True


def _measure_offset_ns() -> int:
    # the narrowest of a few brackets: a thread switch between the readings would shift every span
    best: tuple[int, int] | None = None
    for _ in range(9):
        before = perf_counter_ns()
        unix = time.time_ns()
        after = perf_counter_ns()
        width = after - before
        if best is None or width < best[0]:
            best = (width, unix - (before + after) // 2)
    assert best is not None
    return best[1]
