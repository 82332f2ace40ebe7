"""A device that knows what it did, for machines without one."""

import ctypes
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from whywait.tracer.records.occupancy import DeviceLine

_usleep = ctypes.CDLL(None).usleep  # releases the GIL, and is not the time.sleep that is recorded


class RecordedDevice:
    """One call at a time, in the order in which they came; says how long it took if asked to."""

    def __init__(self, *, tells: bool = False) -> None:
        self.line = DeviceLine("recorded:0")
        self._tells = tells
        self._tickets, self.serving = count(), 0
        self.worked: dict[str, tuple[int, int]] = {}  # by caller, from when to when: the truth
        self.returned: dict[str, int] = {}  # by caller, when its call was over

    def begin(self, *, copies: bool) -> Any:
        return threading.current_thread().name if self._tells else None

    def end(self, begun: Any) -> Callable[[], int | None] | None:
        if begun is None:
            return None
        return lambda: self.worked[begun][1] - self.worked[begun][0]

    def work(self, ms: float) -> None:
        ticket = next(self._tickets)
        while self.serving != ticket:  # as a driver waits: in C, in nothing that Python knows
            _usleep(500)
        began = time.perf_counter_ns()
        _usleep(int(ms * 1000))
        self.worked[threading.current_thread().name] = began, time.perf_counter_ns()
        self.serving += 1
