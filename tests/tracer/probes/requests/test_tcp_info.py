"""What the kernel tells of a connection, asked through its number alone."""

import os
import runpy
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from whywait.tracer.host.native import native_core
from whywait.tracer.probes.requests import tcp_info as as_it_runs

pytestmark = pytest.mark.skipif(as_it_runs.TICK_NS == 0, reason="the kernel's clock of ticks is Linux's")


class Wrapper:
    """As uvloop wraps a socket: only its number is known."""

    def __init__(self, plain: socket.socket) -> None:
        self.fileno = plain.fileno


@pytest.fixture(params=["as it runs", "in Python"])
def tcp_info(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What asks the kernel: in C where the native core was built, and in Python."""
    if request.param == "as it runs":
        return as_it_runs
    monkeypatch.setattr(native_core, "module", None)
    return SimpleNamespace(**runpy.run_path(as_it_runs.__file__))


@pytest.fixture
def accepted() -> Iterator[tuple[socket.socket, socket.socket]]:
    server = socket.create_server(("127.0.0.1", 0))
    with server, socket.create_connection(server.getsockname()) as client, server.accept()[0] as connection:
        yield connection, client


def test_the_age_is_that_of_the_latest_data(tcp_info: Any, accepted: tuple[socket.socket, socket.socket]) -> None:
    connection, client = accepted
    client.sendall(b"x")
    sent_ns = time.perf_counter_ns()
    time.sleep(0.05)
    for one in (connection, Wrapper(connection)):
        age_ns, most_ns = tcp_info.data_age_ns(one), time.perf_counter_ns() - sent_ns
        assert age_ns is not None
        assert 50_000_000 - 2 * tcp_info.TICK_NS <= age_ns <= most_ns + 2 * tcp_info.TICK_NS
    client.sendall(b"x")
    later_ns = tcp_info.data_age_ns(Wrapper(connection))
    assert later_ns is not None
    assert later_ns < 50_000_000 - 2 * tcp_info.TICK_NS


def test_a_connection_is_never_closed_by_it(tcp_info: Any, accepted: tuple[socket.socket, socket.socket]) -> None:
    connection, client = accepted
    assert tcp_info.data_age_ns(Wrapper(connection)) is not None
    number = connection.fileno()
    tcp_info._by_number.cache_clear()  # as at the interpreter's end; a closed one would warn, and warnings are errors
    os.fstat(number)
    client.sendall(b"y")
    assert connection.recv(1) == b"y"


def test_what_was_not_sent_yet(tcp_info: Any, accepted: tuple[socket.socket, socket.socket]) -> None:
    connection, client = accepted
    connection.setblocking(False)
    assert tcp_info.not_sent_bytes(Wrapper(connection)) == 0
    written = 0
    while True:  # until both buffers are full
        try:
            written += connection.send(b"x" * 65_536)
        except BlockingIOError:
            break
    left = tcp_info.not_sent_bytes(Wrapper(connection))
    assert 0 < left < written
    while written:
        written -= len(client.recv(65_536))
    assert tcp_info.not_sent_bytes(Wrapper(connection)) == 0


class Interrupted:
    """Whoever presses Ctrl-C while it is asked for its number."""

    def fileno(self) -> int:
        raise KeyboardInterrupt


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_what_was_sent_is_known_after_the_socket_is_closed(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server, socket.socket(family) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        client.connect(server.getsockname())
        connection = server.accept()[0]
        written = connection.send(b"x" * 200_000)
        question = as_it_runs.question_by_addresses(connection)
        assert question is not None
        known = as_it_runs.sent_of(connection)
        connection.close()
        told = as_it_runs.sent_by_addresses(question)
        assert told is not None
        assert known is not None
        assert (known.bytes + known.left, told.bytes + told.left) == (written, written + 1), "closing is a position"
        assert 0 < told.left < written
        assert as_it_runs.sent_of(connection) is None
        while client.recv(65_536):
            pass
        told = as_it_runs.sent_by_addresses(question)
        assert told is None or not told.left


def test_a_unix_socket_has_no_addresses() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert as_it_runs.question_by_addresses(one) is None
        assert as_it_runs.sent_of(one) is None


def test_what_has_no_such_information_is_unknown(tcp_info: Any) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert tcp_info.data_age_ns(Wrapper(ours)) is None
        assert tcp_info.not_sent_bytes(Wrapper(ours)) == 0
    for one in (ours, object(), None):  # closed, or none
        assert tcp_info.data_age_ns(one) is None
        assert tcp_info.not_sent_bytes(one) == 0
    for asks in (tcp_info.data_age_ns, tcp_info.not_sent_bytes):
        with pytest.raises(KeyboardInterrupt):
            asks(Interrupted())
