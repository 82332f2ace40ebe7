"""A thread's state by its line in `/proc/PID/task/TID/syscall`; a wait for the GIL by its futex's address. Pure. Part
of the sampler's process."""

import platform

from whywait.tracer.sampler.shared.thread_records import CALL, FUTEX, GIL, POLL, RUNNING, SLEEP, STOPPED

_FUTEX_CALL = {"x86_64": 202, "aarch64": 98}
_SLEEP_CALLS = {"x86_64": (35, 230), "aarch64": (101, 115)}
_POLL_CALLS = {"x86_64": (7, 23, 232, 270, 271, 281), "aarch64": (22, 72, 73)}


class CallStates:
    """For a process whose GIL structure lies between two addresses, on a machine of this kind."""

    def __init__(self, gil_from: int, gil_to: int, machine: str = platform.machine()) -> None:
        self._gil_from, self._gil_to = gil_from, gil_to
        self.futex = _FUTEX_CALL.get(machine, -1)
        self._states = dict.fromkeys(_SLEEP_CALLS.get(machine, ()), SLEEP)
        self._states |= dict.fromkeys(_POLL_CALLS.get(machine, ()), POLL)

    def of(self, words: "list[bytes]") -> "tuple[int, int]":
        """The state, and the number of the system call: 0 in none, -1 where the thread is stopped. `words` are those of
        the line, or of its beginning up to the futex's address."""
        if not words or words[0] == b"running":
            return RUNNING, 0
        number = int(words[0])
        if number == -1:
            return STOPPED, -1
        if number == self.futex:
            in_gil = len(words) > 1 and self._gil_from <= int(words[1], 16) < self._gil_to
            return (GIL if in_gil else FUTEX), number
        return self._states.get(number, CALL), number
