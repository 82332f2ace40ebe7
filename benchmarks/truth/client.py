"""An HTTP client of a few lines that can be slow on purpose. It tells its clock to the service, and measures what each
request took."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Final

TIMEOUT_S: Final = 120
SLOW_READER_BUFFER: Final = 16_384
KEPT: Final = "kept connection"
SENT_HEADER: Final = "x-client-sent-ns"  # perf_counter_ns at the first byte: all processes of a machine have that clock
felt_ns: Final[dict[str, int]] = {}  # by the id that ends the path: from its first byte to the answer's last
_kept: Final[dict[int, socket.socket]] = {}  # by port
_LENGTH: Final = re.compile(rb"content-length: (\d+)\r\n", re.IGNORECASE)


class Refused(OSError):
    """The service answered, but not with 200."""


def call(port: int, path: str, *, kind: str = "plain", amount: float = 0) -> bytes:
    """The body of the answer. Kinds: "plain", "small body", "slow body", "huge body", "slow reader", KEPT (all others
    have a connection of their own); raises OSError."""
    with _connected(port, kind) as one:
        body = _body(kind, amount)
        sent_ns = perf_counter_ns()
        head = f"Host: truth\r\n{SENT_HEADER}: {sent_ns}\r\nConnection: {'keep-alive' if kind == KEPT else 'close'}\r\n"
        if kind == "slow body":
            one.sendall(f"POST {path} HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{".encode())
            time.sleep(amount / 1_000)
            one.sendall(b"}")
        elif body:
            one.sendall(f"POST {path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        else:
            one.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        if kind == "slow reader":
            time.sleep(amount / 1_000)
        answer, last_ns = _answer(one)
    felt_ns[path.partition("?")[0].rsplit("/", 1)[-1]] = last_ns - sent_ns
    head, _, content = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise Refused(f"{path}: {head[:60]!r} {content[:200]!r}")
    return bytes(content)


@contextmanager
def _connected(port: int, kind: str) -> Iterator[socket.socket]:
    if kind == KEPT and port in _kept:
        yield _kept[port]
        return
    with socket.socket() as one:
        one.settimeout(TIMEOUT_S)
        if kind == "slow reader":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_READER_BUFFER)
        one.connect(("127.0.0.1", port))
        if kind == KEPT:
            _kept[port] = one.dup()
        yield one


def hang_up() -> None:
    """Closes the connections that are kept."""
    while _kept:
        _kept.popitem()[1].close()


def _body(kind: str, amount: float) -> bytes:
    if kind == "huge body":
        return json.dumps([{"row": row, "name": f"pod-{row}"} for row in range(int(amount * 1_000))]).encode()
    return json.dumps(list(range(60))).encode() if kind == "small body" else b""


def _answer(one: socket.socket) -> tuple[bytearray, int]:
    """The answer, and when its last byte had come: the server closes the connection later, if at all, and to copy 10 MB
    takes this client 20 ms."""
    answer, whole, last_ns = bytearray(), -1, 0
    while whole < 0 or len(answer) < whole:
        part = one.recv(262_144)
        if not part:
            break
        last_ns = perf_counter_ns()
        answer += part
        if whole < 0 and (end := answer.find(b"\r\n\r\n")) >= 0 and (length := _LENGTH.search(answer, 0, end + 2)):
            whole = end + 4 + int(length[1])
    return answer, last_ns
