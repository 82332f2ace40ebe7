"""Reads the GIL in the memory of another process: its holder, and since when a thread waits for it.

A thread waits in rounds: it sleeps until the GIL is released or the switch interval has passed, requests it, and
sleeps again. The kernel shows a round's deadline, so that its begin is known if the thread is sampled within it:

    thread   ~~~~~~call~~~~~~|~~~~~round~~~~~|~~~~~round~~~~|~r~|runs
    samples          |            |                 |
                              its deadline less the interval is when the data came
"""

import os
import struct

_FIELDS = struct.Struct("<QQi")  # the interval in microseconds, the latest holder, whether it is held
_WORD = struct.Struct("<Q")
_TIME = struct.Struct("<qq")
_WAIT_BITSET = 9  # with a deadline, not a length; of the monotonic clock unless another is asked for
_COMMAND = 0x7F
_OTHER_CLOCK = 0x100
_LONGEST_US = 60_000_000


class GilReader:
    """Reads what gil_address.py found; an address of 0 is not known."""

    def __init__(self, process_id: int, holder_at: int, native_id_offset: int, interval_known: int) -> None:
        self._memory = os.open(f"/proc/{process_id}/mem", os.O_RDONLY) if holder_at else -1
        self._fields_at = holder_at - _WORD.size
        self._offset = native_id_offset
        self._interval_known = bool(interval_known)
        self.interval_ns = 0  # as it was at the latest reading; 0: not known

    def holder(self) -> int:
        """The thread that holds the GIL now; 0 without a holder, or if it cannot be read."""
        if self._memory < 0:
            return 0
        try:
            interval_us, state, locked = _FIELDS.unpack(os.pread(self._memory, _FIELDS.size, self._fields_at))
            if self._interval_known:
                self.interval_ns = interval_us * 1_000 if 0 < interval_us <= _LONGEST_US else 0
            if not locked:
                return 0
            (tid,) = _WORD.unpack(os.pread(self._memory, _WORD.size, state + self._offset))
        except (OSError, struct.error, OverflowError):
            return 0
        return int(tid)

    def round_began(self, arguments: bytes, now_ns: int) -> int:
        """When the round began that a thread sleeps in, by its system call's arguments after the first; 0: not known."""
        words = arguments.split(None, 3)
        if not self.interval_ns or len(words) < 3:
            return 0
        command, deadline_at = int(words[0], 16), int(words[2], 16)
        if command & _COMMAND != _WAIT_BITSET or command & _OTHER_CLOCK or not deadline_at:
            return 0  # the GIL's mutex, or a thread that released the GIL on demand
        try:
            seconds, ns = _TIME.unpack(os.pread(self._memory, _TIME.size, deadline_at))
        except (OSError, struct.error, OverflowError):
            return 0
        began_ns = int(seconds) * 1_000_000_000 + int(ns) - self.interval_ns
        return began_ns if 0 < began_ns <= now_ns else 0  # else the thread continued while it was read
