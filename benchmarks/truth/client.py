"""An HTTP client of a few lines that can be slow on purpose; one connection per request."""

import json
import socket
import time
from typing import Final

TIMEOUT_S: Final = 120
SLOW_READER_BUFFER: Final = 16_384


class Refused(OSError):
    """The service answered, but not with 200."""


def call(port: int, path: str, *, kind: str = "plain", amount: float = 0) -> bytes:
    """The body of the answer. Kinds: "plain", "slow body", "huge body", "slow reader"; raises OSError."""
    with socket.socket() as one:
        one.settimeout(TIMEOUT_S)
        if kind == "slow reader":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_READER_BUFFER)
        one.connect(("127.0.0.1", port))
        if kind == "slow body":
            _send(one, path, b"{", 2)
            time.sleep(amount / 1_000)
            one.sendall(b"}")
        elif kind == "huge body":
            body = json.dumps([{"row": row, "name": f"pod-{row}"} for row in range(int(amount * 1_000))])
            _send(one, path, body.encode(), len(body))
        elif kind == "small body":
            body = json.dumps(list(range(60)))
            _send(one, path, body.encode(), len(body))
        else:
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: truth\r\nConnection: close\r\n\r\n".encode())
        if kind == "slow reader":
            time.sleep(amount / 1_000)
        return _answer(one, path)


def _send(one: socket.socket, path: str, body: bytes, length: int) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: truth\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    one.sendall(head.encode() + body)


def _answer(one: socket.socket, path: str) -> bytes:
    parts = []
    while part := one.recv(262_144):
        parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise Refused(f"{path}: {head[:60]!r} {body[:200]!r}")
    return body
