"""A timer of the kernel by which a thread sleeps until a loop's callback lasts: the loop sets it when it wakes up, and
stops it before it sleeps. It is not read, so that a host which closes our file and opens another loses nothing."""

import ctypes
import os
import select
import time
from typing import Any, Final

_CLOEXEC: Final = 0o2000000  # of Linux, and with it timers that are files
_Spec = ctypes.c_long * 4  # the period in s and ns, then the first time in s and ns


class Alarm:
    """One timer. Raises OSError or AttributeError where the platform has none; later calls never raise.

    One thread calls `renew`, then `wait`; any other `set`, `stop` and `ring` in between.
    """

    def __init__(self, after_ns: int, most_sets: int) -> None:
        """`set` is due after `after_ns`; more than `most_sets` of them ring at once, since each costs microseconds."""
        library: Any = ctypes.PyDLL(None, use_errno=True)  # without releasing the GIL, which may cost milliseconds
        self._settime = library.timerfd_settime
        self._fd = library.timerfd_create(time.CLOCK_MONOTONIC, _CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._specs = [_Spec(0, 0, *divmod(ns, 1_000_000_000)) for ns in (0, 1, after_ns)]
        self._never, self._now, self._due = (
            (ctypes.c_int(self._fd), ctypes.c_int(0), ctypes.c_void_p(ctypes.addressof(one)), ctypes.c_void_p())
            for one in self._specs
        )
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._most_sets = most_sets
        self._sets = 0
        self._rung = True  # until `renew`

    def renew(self) -> None:
        """Let it be set, until it has rung or `wait` has returned."""
        self._sets, self._rung = 0, False

    def set(self) -> None:
        """Be due unless stopped."""
        self._sets += 1
        if self._sets > self._most_sets:
            self.ring()
        elif not self._rung:  # no other thread runs between this question and the call
            self._settime(*self._due)

    def stop(self) -> None:
        """Be not due."""
        if not self._rung:
            self._settime(*self._never)

    def ring(self) -> None:
        """End the current or next `wait`."""
        self._rung = True
        self._settime(*self._now)

    def wait(self, most_s: float) -> bool:
        """Sleep until it is due; return whether it was set too often for that to be worth its cost, or the host has
        closed it."""
        self._poll.poll(most_s * 1_000)
        self._rung = True
        return self._settime(*self._never) != 0 or self._sets > self._most_sets

    def close(self) -> None:
        """Give the file back, if it is still ours."""
        self._rung = True
        if self._settime(*self._never) == 0:
            os.close(self._fd)
