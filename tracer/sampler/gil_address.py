"""Finds the address of this interpreter's GIL, from inside and unprivileged: while this thread holds it in a C call,
the kernel shows in which futex another waits. Other fields, at known distances, are used only if they name this
thread."""

import ctypes
import functools
import os
import platform
import struct
import sys
import threading
import time
from typing import NamedTuple

from whywait.tracer.host.interpreter import is_free_threaded
from whywait.tracer.host.own_thread import OwnThread

_FUTEX = {"x86_64": b"202", "aarch64": b"98"}.get(platform.machine())
_ROUNDS = 12
_HOLD_US = 2_000
# distances from the futex word that waiters sleep in, as glibc and CPython 3.11 to 3.14 lay them out:
# the structure's condition variables and mutexes, its `interval`, its `last_holder`; `locked` comes next
_FROM, _TO = -40, 136
_INTERVAL, _LAST_HOLDER = -72, -64
_THREAD_STATE_SIZE = 400


class GilAddress(NamedTuple):
    """Addresses in this process; `holder_at` is 0 if the holder is unknown; `interval_known`: the switch interval is
    before it."""

    futex_from: int
    futex_to: int
    holder_at: int
    native_id_offset: int
    interval_known: bool


@functools.cache
def gil_address() -> GilAddress | None:
    """Return the GIL's addresses, None if not found. The first call holds the GIL for some milliseconds."""
    if _FUTEX is None or not sys.platform.startswith("linux") or is_free_threaded():
        return None
    try:
        word = _waited_in()
    except (OSError, AttributeError, ValueError):
        return None
    if word is None:
        return None
    holder = _holder_fields(word)
    return GilAddress(word + _FROM, word + _TO, *holder)


def _waited_in() -> int | None:
    """The lowest futex word in which a thread sleeps that waits for the GIL."""
    library = ctypes.PyDLL(None)  # calls through it hold the GIL
    pread = library.pread
    pread.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]
    pread.restype = ctypes.c_ssize_t
    buffer = ctypes.create_string_buffer(256)
    begun = threading.Event()
    done: list[bool] = []
    waiter_id = 0

    def wait() -> None:
        nonlocal waiter_id
        waiter_id = threading.get_native_id()
        begun.set()
        while not done:
            time.sleep(0.0002)

    waiter = OwnThread("whywait-learns", wait)
    waiter.start()
    begun.wait()
    words: list[int] = []
    fd = os.open(f"/proc/self/task/{waiter_id}/syscall", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for _ in range(_ROUNDS):
            library.usleep(_HOLD_US)
            length = pread(fd, buffer, 255, 0)
            fields = buffer.raw[: max(length, 0)].split(None, 2)
            if len(fields) > 1 and fields[0] == _FUTEX:
                words.append(int(fields[1], 16) & ~7)
            if len(words) >= 3:
                break
            time.sleep(0.0005)
    finally:
        done.append(True)
        waiter.join()
        os.close(fd)
    if len(words) < 3 or max(words) != min(words):
        return None  # it slept in another call
    return words[0]


def _holder_fields(word: int) -> tuple[int, int, bool]:
    """The holder's address, the thread id's offset, and whether the interval precedes it; zeros for an unexpected layout."""
    get = ctypes.pythonapi.PyThreadState_Get
    get.restype = ctypes.c_void_p
    state = get()
    interval_us, last_holder, locked = struct.unpack("<QQi", ctypes.string_at(word + _INTERVAL, 20))
    if last_holder != state or locked != 1:
        return 0, 0, False
    own = ctypes.string_at(state, _THREAD_STATE_SIZE)
    native_id = threading.get_native_id()
    places = [at for at in range(0, _THREAD_STATE_SIZE - 7, 8) if struct.unpack_from("<Q", own, at)[0] == native_id]
    if len(places) != 1:
        return 0, 0, False
    interval_known = abs(interval_us - sys.getswitchinterval() * 1e6) <= 1
    return word + _LAST_HOLDER, places[0], interval_known
