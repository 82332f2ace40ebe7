"""What the kernel knows of a connection: when its data came, and what it has not sent. Neither read releases the GIL."""

import functools
import socket
import sys
import time
from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from whywait.tracer.host.native import native_core

# struct tcp_info of Linux: only its end ever grows
_LAST_DATA_AT: Final = 52  # u32, ms since data came, rounded to the kernel's ticks
_LAST_SENT_AT: Final = 44  # the same since data was sent
_NOT_SENT_AT: Final = 144  # u32, bytes
_SEGMENT_AT: Final = 16  # u32, bytes
_SENT_AT: Final = 200  # u64, bytes that were sent, and those of them that were sent again; since Linux 4.19
_LEVEL: Final = socket.IPPROTO_TCP
_INFO: Final = getattr(socket, "TCP_INFO", -1) if sys.platform == "linux" else -1
_KNOWN: Final = sys.platform == "linux"
_COARSE: Final = 6  # CLOCK_MONOTONIC_COARSE, which Python does not name: it advances by ticks
TICK_NS: Final = int(time.clock_getres(_COARSE) * 1e9) if _KNOWN else 0
_read_u32: Final = Struct("=I").unpack_from
_read_sent: Final = Struct("=QQ").unpack_from

# the kernel's answers about one socket by its addresses (`ss` asks so): it has them after the socket is closed, too
_NETLINK_SOCK_DIAG: Final = 4
_OF_ONE_FAMILY: Final = 20  # SOCK_DIAG_BY_FAMILY, both of the question and of the answer
_QUESTION: Final = Struct("=IHHII BBBxI")  # nlmsghdr; family, protocol, wanted attributes, states
_PORTS: Final = Struct("!HH")
_ANY_COOKIE: Final = Struct("=III").pack(0, 0xFFFFFFFF, 0xFFFFFFFF)  # and any interface
_WANTS_TCP_INFO: Final = 2  # both the bit, and the number of the attribute
_HEADERS: Final = 16 + 72  # of the answer: nlmsghdr, inet_diag_msg
_attribute: Final = Struct("=HH").unpack_from


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


class Sent(NamedTuple):
    """What a socket has sent."""

    bytes: int
    """As a position; before Linux 4.19 minus what is not sent, which is a position in what was written last."""
    ago_ns: int
    """How long ago it last sent data, within a tick."""
    left: int
    """Bytes that were written to it and are not sent."""


def sent_of(connection: Any) -> Sent | None:
    """Return what this socket has sent; None where the kernel does not tell, and of a closed one."""
    try:
        plain = getattr(connection, "_sock", None) or _by_number(connection.fileno())
        return _sent(plain.getsockopt(_LEVEL, _INFO, _SENT_AT + 16))
    except Exception:
        return None


def _sent(info: bytes) -> Sent:
    left = _read_u32(info, _NOT_SENT_AT)[0]
    sent, again = _read_sent(info, _SENT_AT) if len(info) >= _SENT_AT + 16 else (0, left)
    return Sent(sent - again, _read_u32(info, _LAST_SENT_AT)[0] * 1_000_000, left)


def question_by_addresses(connection: Any) -> bytes | None:
    """Return what the kernel is asked about this socket by its addresses; None of a Unix socket, and without a peer."""
    try:
        return question_about(connection.getsockname(), connection.getpeername())
    except Exception:
        return None


def question_about(*ends: Sequence[Any]) -> bytes:
    """Return what the kernel is asked about the socket between its own and its peer's address and port; raises where they
    are none."""
    family = socket.AF_INET6 if ":" in ends[1][0] else socket.AF_INET
    names = b"".join(socket.inet_pton(family, one[0].partition("%")[0]).ljust(16, b"\0") for one in ends)
    asked = _PORTS.pack(*(int(one[1]) for one in ends)) + names + _ANY_COOKIE
    length = _QUESTION.size + len(asked)
    head = (length, _OF_ONE_FAMILY, 1, 0, 0, family, socket.IPPROTO_TCP, _WANTS_TCP_INFO, 0xFFFFFFFF)
    return _QUESTION.pack(*head) + asked


def sent_by_addresses(question: bytes) -> Sent | None:
    """Return what a socket has sent that may be closed; None where the kernel has sent all, or given up. 6 to 30 µs."""
    info = _info_by_addresses(question)
    return _sent(info) if info else None


def data_age_by_addresses(question: bytes) -> int | None:
    """As `data_age_ns`, of a socket that is not at hand."""
    info = _info_by_addresses(question)
    return _read_u32(info, _LAST_DATA_AT)[0] * 1_000_000 if info else None


def _info_by_addresses(question: bytes) -> bytes:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as asking:
        asking.setblocking(False)  # the kernel answers at once
        asking.send(question)
        answer = asking.recv(8_192)
    length, kind = _attribute(answer, 0)[0], _attribute(answer, 4)[0]
    at = _HEADERS if kind == _OF_ONE_FAMILY else length
    while at < length:
        size, number = _attribute(answer, at)
        if number == _WANTS_TCP_INFO:
            return answer[at + 4 : at + size]
        at += max((size + 3) & ~3, 4)
    return b""


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
