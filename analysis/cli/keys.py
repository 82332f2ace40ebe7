"""Waits for a while or for a key. The terminal delivers single keys meanwhile, and is restored afterwards."""

import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_QUIT: Final = frozenset(b"qQ\x03\x04")


@contextmanager
def quit_key() -> Iterator[Callable[[float], bool]]:
    """Yields a function that waits for seconds and returns whether the user pressed a key to leave (never without a
    terminal)."""
    try:
        import termios
        import tty

        before = termios.tcgetattr(sys.stdin.fileno())
    except (ImportError, OSError, ValueError, AttributeError, termios.error):
        yield threading.Event().wait  # which nobody sets: it returns False
        return
    try:
        tty.setcbreak(sys.stdin.fileno())
        yield _wait_for_key
    finally:
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)


def _wait_for_key(seconds: float) -> bool:
    deadline_s = time.monotonic() + seconds
    while (left_s := deadline_s - time.monotonic()) > 0:
        ready, _, _ = select.select([sys.stdin], [], [], left_s)
        if not ready:
            return False
        # bypasses Python's buffer, which `select` does not see
        pressed = os.read(sys.stdin.fileno(), 64)
        if not pressed or any(key in _QUIT for key in pressed):
            return True
    return False
