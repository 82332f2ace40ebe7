"""Looks at what a long loop callback is doing, so that a blocked loop has a name, a file and a line.

A thread of its own wakes now and then; only while one callback runs for longer than an interval does
it read that thread's stack, and the system call it sleeps in, if it does.
"""

import platform
import sys
import threading
from collections import Counter
from collections.abc import Callable
from time import perf_counter_ns

from tracer.places import user_place
from tracer.recorder import Recorder, probe_failed
from tracer.records import Loop, Place, Sample
from tracer.schema import SYSCALL_FUTEX

_MACHINES = {
    "x86_64": {
        0: "read", 1: "write", 7: "poll", 17: "pread64", 18: "pwrite64", 23: "select", 35: "nanosleep",
        42: "connect", 43: "accept", 44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 61: "wait4",
        73: "flock", 74: "fsync", 75: "fdatasync", 202: SYSCALL_FUTEX, 230: "clock_nanosleep",
        232: "epoll_wait", 247: "waitid", 257: "openat", 270: "pselect6", 271: "ppoll",
        281: "epoll_pwait", 288: "accept4",
    },
    "aarch64": {
        22: "epoll_pwait", 32: "flock", 56: "openat", 63: "read", 64: "write", 67: "pread64", 68: "pwrite64",
        72: "pselect6", 73: "ppoll", 82: "fsync", 83: "fdatasync", 95: "waitid", 98: SYSCALL_FUTEX,
        101: "nanosleep", 115: "clock_nanosleep", 202: "accept", 203: "connect", 206: "sendto",
        207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 242: "accept4", 260: "wait4",
    },
}  # fmt: skip
_NAMES = _MACHINES.get(platform.machine(), {})


def install(recorder: Recorder) -> Callable[[], None]:
    """Starts the thread; returns the undo, which ends it."""
    interval_s = recorder.config.watchdog_interval_s
    if interval_s <= 0:
        return lambda: None
    stop = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(recorder, stop, interval_s), name="whywait-watchdog", daemon=True
    )
    thread.start()

    def undo() -> None:
        stop.set()
        if thread is not threading.current_thread():
            thread.join(timeout=5)

    return undo


def _watch(recorder: Recorder, stop: threading.Event, interval_s: float) -> None:
    seen: dict[int, _Seen] = {}
    interval_ns = int(interval_s * 1e9)
    while not stop.wait(interval_s):
        try:
            for loop in recorder.loops:
                run_start_ns = loop.run_start_ns
                age_ns = perf_counter_ns() - run_start_ns
                if not run_start_ns or age_ns < interval_ns:
                    continue
                known = seen.get(loop.thread_id)
                if known is None or known.run_start_ns != run_start_ns:
                    known = seen[loop.thread_id] = _Seen(run_start_ns)
                if age_ns >= known.next_age_ns:
                    known.look(loop, age_ns)
        except Exception as error:
            probe_failed("watchdog", error)
            return


class _Seen:
    """What was seen of one long callback; looks grow rarer the longer it lasts."""

    def __init__(self, run_start_ns: int) -> None:
        self.run_start_ns = run_start_ns
        self.next_age_ns = 0
        self.places: Counter[Place] = Counter()
        self.syscalls: Counter[str] = Counter()

    def look(self, loop: Loop, age_ns: int) -> None:
        self.next_age_ns = int(age_ns * 1.2)
        place = user_place(sys._current_frames().get(loop.thread_id))
        syscall = _sleeps_in(loop.native_id)
        if place is None or loop.run_start_ns != self.run_start_ns:
            return
        self.places[place] += 1
        if syscall is not None:
            self.syscalls[syscall] += 1
        chief = self.places.most_common(1)[0][0]
        slept_in = self.syscalls.most_common(1)[0][0] if self.syscalls else None
        loop.sample = (self.run_start_ns, Sample(chief, slept_in))


def _sleeps_in(native_id: int) -> str | None:
    """The system call a thread sleeps in; None when it runs, or where the kernel does not say."""
    if not _NAMES:  # another machine's numbers would be misread
        return None
    try:
        with open(f"/proc/self/task/{native_id}/syscall", encoding="ascii") as file:
            word = file.read(32).split(maxsplit=1)[0]
    except (OSError, IndexError):
        return None
    if not word.isdigit():  # "running", or -1: stopped outside any call
        return None
    return _NAMES.get(int(word), f"system call {word}")
