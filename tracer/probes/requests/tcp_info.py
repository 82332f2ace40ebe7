"""What the kernel knows of a connection: when its data came, and what it has not sent. Neither read releases the GIL."""

import functools
import socket
import sys
import time
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from whywait.tracer.host.native import native_core

# struct tcp_info of Linux: only its end ever grows
_LAST_DATA_AT: Final = 52  # u32, ms since data came, rounded to the kernel's ticks
_LAST_SENT_AT: Final = 44  # the same since data was sent
_NOT_SENT_AT: Final = 144  # u32, bytes
_SEGMENT_AT: Final = 16  # u32, bytes
_LEVEL: Final = socket.IPPROTO_TCP
_INFO: Final = getattr(socket, "TCP_INFO", -1) if sys.platform == "linux" else -1
_KNOWN: Final = sys.platform == "linux"
_COARSE: Final = 6  # CLOCK_MONOTONIC_COARSE, which Python does not name: it advances by ticks
TICK_NS: Final = int(time.clock_getres(_COARSE) * 1e9) if _KNOWN else 0
_read_u32: Final = Struct("=I").unpack_from


class _Numbered(socket.socket):
    """A socket by its number alone, never closed here, without what the wrapper of asyncio costs, and uvloop's, which
    makes a socket and drops it at each call."""

    __slots__ = ()
    __del__ = socket.socket.detach


# made once for each number: no more than the process ever has files
_by_number: Final = functools.cache(lambda number: _Numbered(fileno=number))


def _told(connection: Any, at: int) -> int | None:
    """The number at this place of `tcp_info`; None for another system, a Unix socket, a closed one."""
    try:
        plain = getattr(connection, "_sock", None) or _by_number(connection.fileno())
        return _read_u32(plain.getsockopt(_LEVEL, _INFO, at + 4), at)[0]  # type: ignore[no-any-return]
    except Exception:
        return None


def data_age_ns(connection: Any) -> int | None:
    """Return how long ago this socket last got data, within a tick; None where the kernel does not tell.

    Called for each request: `_told` at one place, in one function.
    """
    try:
        plain = getattr(connection, "_sock", None) or _by_number(connection.fileno())
        return _read_u32(plain.getsockopt(_LEVEL, _INFO, _LAST_DATA_AT + 4), _LAST_DATA_AT)[0] * 1_000_000  # type: ignore[no-any-return]
    except Exception:
        return None


def sent_ago_ns(connection: Any) -> int:
    """Return how long ago this socket last sent data, within a tick; 0 where that is not known."""
    return (_told(connection, _LAST_SENT_AT) or 0) * 1_000_000


def segment_bytes(connection: Any) -> int:
    """Return how much the kernel sends at once: Nagle's algorithm holds back less only; 0 where that is not known."""
    return _told(connection, _SEGMENT_AT) or 0


def waits_for_acknowledgement(connection: Any) -> bool:
    """Return whether Nagle's algorithm is in force on this socket."""
    try:
        return _KNOWN and not connection.getsockopt(_LEVEL, socket.TCP_NODELAY)
    except Exception:
        return False


def not_sent_bytes(connection: Any) -> int:
    """Return how much was written to this socket and waits to be sent; 0 where the kernel does not tell."""
    return _told(connection, _NOT_SENT_AT) or 0


if not TYPE_CHECKING and native_core.module is not None:  # the same in C, which both cores may use
    data_age_ns, not_sent_bytes = native_core.module.data_age_ns, native_core.module.not_sent_bytes
