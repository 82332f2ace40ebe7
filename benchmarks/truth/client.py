"""An HTTP client of a few lines that can be slow on purpose; one connection per request. It tells its clock to the
service, and measures what each request took."""

import json
import socket
import time
from time import perf_counter_ns
from typing import Final

TIMEOUT_S: Final = 120
SLOW_READER_BUFFER: Final = 16_384
SENT_HEADER: Final = "x-client-sent-ns"  # perf_counter_ns at the first byte: all processes of a machine have that clock
felt_ns: Final[dict[str, int]] = {}  # by the id that ends the path: from its first byte to the answer's last


class Refused(OSError):
    """The service answered, but not with 200."""


def call(port: int, path: str, *, kind: str = "plain", amount: float = 0) -> bytes:
    """The body of the answer. Kinds: "plain", "small body", "slow body", "huge body", "slow reader"; raises OSError."""
    with socket.socket() as one:
        one.settimeout(TIMEOUT_S)
        if kind == "slow reader":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_READER_BUFFER)
        one.connect(("127.0.0.1", port))
        body = _body(kind, amount)
        sent_ns = perf_counter_ns()
        head = f"Host: truth\r\nConnection: close\r\n{SENT_HEADER}: {sent_ns}\r\n"
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
        answer, answered_ns = _answer(one, path)
        felt_ns[path.partition("?")[0].rsplit("/", 1)[-1]] = answered_ns - sent_ns
        return answer


def _body(kind: str, amount: float) -> bytes:
    if kind == "huge body":
        return json.dumps([{"row": row, "name": f"pod-{row}"} for row in range(int(amount * 1_000))]).encode()
    return json.dumps(list(range(60))).encode() if kind == "small body" else b""


def _answer(one: socket.socket, path: str) -> tuple[bytes, int]:
    """The body, and when its last byte came: the server closes the connection later."""
    parts, answered_ns = [], 0
    while part := one.recv(262_144):
        answered_ns = perf_counter_ns()
        parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise Refused(f"{path}: {head[:60]!r} {body[:200]!r}")
    return body, answered_ns
