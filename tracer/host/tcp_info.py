"""What the kernel knows of a connection: when its data came, and what it has not sent. Neither read releases the GIL."""

import socket
import sys
import time
from struct import unpack_from
from typing import Any, Final

# struct tcp_info of Linux: only its end ever grows
_LAST_DATA_AT: Final = 52  # u32, ms since data came, rounded to the kernel's ticks
_NOT_SENT_AT: Final = 144  # u32, bytes
_LEVEL: Final = socket.IPPROTO_TCP
_KNOWN: Final = sys.platform == "linux"
_COARSE: Final = 6  # CLOCK_MONOTONIC_COARSE, which Python does not name: it advances by ticks
TICK_NS: Final = int(time.clock_getres(_COARSE) * 1e9) if _KNOWN else 0


def data_age_ns(connection: Any) -> int | None:
    """Return how long ago this socket last got data, within a tick; None where the kernel does not tell."""
    if not _KNOWN or connection is None or connection.family == socket.AF_UNIX:
        return None
    try:
        found = connection.getsockopt(_LEVEL, socket.TCP_INFO, _LAST_DATA_AT + 4)
        return int(unpack_from("=I", found, _LAST_DATA_AT)[0]) * 1_000_000
    except Exception:  # closed, or no TCP
        return None


def is_held_by_nagle(connection: Any) -> bool:
    """Return whether Nagle's algorithm now holds back the end of what was written, until what was sent is acknowledged."""
    if not _KNOWN or connection is None or connection.family == socket.AF_UNIX:
        return False
    try:
        if connection.getsockopt(_LEVEL, socket.TCP_NODELAY):
            return False
        found = connection.getsockopt(_LEVEL, socket.TCP_INFO, _NOT_SENT_AT + 4)
        return len(found) == _NOT_SENT_AT + 4 and unpack_from("=I", found, _NOT_SENT_AT)[0] > 0
    except Exception:
        return False
