"""Requests of a real uvicorn, on both loops and with both parsers: their windows, whoever made them wait, their spans.

The clients stamp each request themselves, by the same clock. One server for all tests of a loop.
"""

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

import whywait
from testbed.disturbed import disturbed
from tests.tracer.conftest import Span, Traced
from whywait.tracer.config import Config
from whywait.tracer.probes.requests.tcp_info import TICK_NS

SERVER = 2
BIG = b"x" * 8_000_000
FITS = b"x" * 120_000  # into what the kernel keeps of a connection, but not into what its client's kernel takes
HELD_S = 0.08
framework = FastAPI()
took_ns: list[int] = []  # by the application of a client that has gone


@framework.get("/framework/{one}")
async def endpoint(one: str) -> str:
    return one


def hold_the_loop() -> None:
    time.sleep(HELD_S)


def after_the_answer() -> None:
    time.sleep(HELD_S)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    path = scope["path"]
    if path.startswith("/framework"):
        await asyncio.sleep(0.02)  # a middleware outside of the framework
        await framework(scope, receive, send)
        return
    if path == "/gone":
        begun_ns = perf_counter_ns()
        await asyncio.sleep(0.03)
        took_ns.append(perf_counter_ns() - begun_ns)
    if path.startswith("/blocks"):
        hold_the_loop()
    if path == "/body":
        while (await receive())["more_body"]:
            pass
    body = BIG if path == "/big" else FITS if path.startswith("/fits") else b"ok"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 503 if path == "/fails" else 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    if path == "/works-on":
        after_the_answer()
        await asyncio.sleep(0.02)


@dataclass
class Felt:
    """What a client felt, and what was recorded."""

    sent_ns: int
    got_ns: int


@dataclass
class Seen:
    clients: dict[str, Felt]
    spans: Traced
    loop: str

    def root(self, path: str) -> Span:
        name = f"GET {path}"
        (server,) = [one for one in self.spans.spans if one.kind == SERVER and one.name == name]
        (root,) = [one for one in self.spans.of_kind("task") if one["root"] and one.parent_id == server.span_id]
        return root

    def waits(self, root: Span, kind: str) -> list[Span]:
        return [one for one in self.spans.of_kind("wait") if one["activity"] == root.span_id and one["wait"] == kind]


class Client:
    """One connection; it remembers when each request was sent, and its answer's last byte came."""

    def __init__(self, port: int, felt: dict[str, Felt], **options: int) -> None:
        self._socket = socket.socket()
        if options:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["buffer"])
        self._socket.settimeout(10)
        self._socket.connect(("127.0.0.1", port))
        self._felt = felt

    def send(self, *paths: str, headers: str = "") -> int:
        sent_ns = perf_counter_ns()
        self._socket.sendall("".join(f"GET {one} HTTP/1.1\r\nhost: a\r\n{headers}\r\n" for one in paths).encode())
        return sent_ns

    def send_body(self, body: bytes) -> int:
        sent_ns = perf_counter_ns()
        self._socket.sendall(body)
        return sent_ns

    def ask(self, path: str, headers: str = "", rest_s: float = 0) -> None:
        sent_ns = self.send(path, headers=headers)
        time.sleep(rest_s)
        self.read_answer()
        self._felt[path] = Felt(sent_ns, perf_counter_ns())

    def read_answer(self) -> None:
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._more()
        head, _, body = got.partition(b"\r\n\r\n")
        missing = int(head.lower().partition(b"content-length:")[2].split()[0]) - len(body)
        while missing > 0:
            missing -= len(self._more())

    def _more(self) -> bytes:
        part = self._socket.recv(1_000_000)
        assert part
        return part

    def close(self) -> None:
        self._socket.close()


def visit(port: int, nagle_port: int, felt: dict[str, Felt]) -> None:
    """Every request of the tests, in order."""
    client, victim = Client(port, felt), Client(port, felt)
    client.ask("/first")
    victim.ask("/second")
    with ThreadPoolExecutor(1) as pool:
        for blocker, behind in (("/blocks", "/behind-blocks"), ("/works-on", "/behind-works-on")):
            blocked = pool.submit(client.ask, blocker)
            time.sleep(HELD_S / 4)
            victim.ask(behind)
            blocked.result()
            time.sleep(0.05)
    with ThreadPoolExecutor(1) as pool:
        sent_ns = victim.send("/body", headers="content-length: 2\r\n")
        time.sleep(HELD_S / 4)
        blocked = pool.submit(client.ask, "/blocks-body")
        time.sleep(HELD_S / 4)
        felt["/body"] = Felt(sent_ns, victim.send_body(b"{}"))
        victim.read_answer()
        blocked.result()
    client.ask("/framework/1")
    client.ask("/fails")
    client.ask("/proxied", f"x-request-start: t={time.time() - 0.05:.6f}\r\n")
    client.ask("/skewed", f"x-request-start: t={time.time() + 3_600:.6f}\r\n")
    client.ask("/called", f"traceparent: 00-{'ab' * 16}-{'cd' * 8}-01\r\n")
    client.ask("/unsampled", f"traceparent: 00-{'ab' * 16}-{'cd' * 8}-00\r\n")
    delayed = Client(nagle_port, felt)  # the first answers of a connection are acknowledged at once
    for number in range(12):
        delayed.ask(f"/delayed/{number}")
    slow = Client(port, felt, buffer=20_000)
    slow.ask("/big", rest_s=HELD_S)
    for to, path in ((port, "/fits"), (nagle_port, "/fits-with-nagle")):
        waits = Client(to, felt, buffer=20_000)
        waits.ask(path, rest_s=HELD_S)
        waits.close()
    gone = Client(port, felt)
    gone.send("/gone")
    time.sleep(0.01)
    gone.close()
    client.send("/piped/1", "/piped/2")
    client.read_answer()
    time.sleep(0.1)
    for one in (client, victim, slow, delayed):
        one.close()


@pytest.fixture(scope="module", params=[("asyncio", "h11"), ("uvloop", "httptools")], ids=["asyncio", "uvloop"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder: Path = tmp_path_factory.mktemp("traces")
    whywait.start(config=Config(output=folder, keep="all"))
    loop, parser = request.param
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", loop=loop, http=parser, lifespan="auto"))
    # with Nagle's algorithm, as in a server of several processes: asyncio knows TCP by the socket's protocol
    listeners = [socket.socket(proto=proto) for proto in (socket.IPPROTO_TCP, 0)]
    for one in listeners:
        one.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=(listeners,))
    thread.start()
    felt: dict[str, Felt] = {}
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        visit(*(one.getsockname()[1] for one in listeners), felt)
    finally:
        server.should_exit = True
        thread.join(20)
        traced = Traced(folder)
        traced.stop()
    return Seen(felt, traced, loop)


@pytest.mark.parametrize(
    ("path", "blocker"), [("/behind-blocks", "hold_the_loop"), ("/behind-works-on", "after_the_answer")]
)
def test_a_victim_that_arrives_while_the_loop_is_blocked_is_told_by_whom(seen: Seen, path: str, blocker: str) -> None:
    root, felt = seen.root(path), seen.clients[path]
    busy = max(seen.waits(root, "loop_busy"), key=lambda one: one.ms)
    assert (busy["blocker.function"], busy["blocker.file"]) == (blocker, __file__)
    assert root["ingress.from"] == "kernel"
    if busy.ms < HELD_S * 500:
        disturbed(f"the client was late: it met {busy.ms:.0f} ms of the block")
    assert root.ms * 1e6 == pytest.approx(felt.got_ns - felt.sent_ns, abs=2 * TICK_NS + 4e6)
    others = sum(one.ms for kind in ("ingress_wait", "loop_wakeup") for one in seen.waits(root, kind))
    assert busy.ms > 0.9 * (busy.ms + others), "and almost all of the wait has its name"


def test_a_body_that_comes_while_the_loop_is_blocked_is_waited_for_until_it_came(seen: Seen) -> None:
    root, sent = seen.root("/body"), seen.clients["/body"]
    (body,) = [one for one in seen.waits(root, "await") if one["for"].endswith("receive")]
    (busy,) = [one for one in seen.waits(root, "loop_busy") if one["blocker.function"] == "hold_the_loop"]
    assert body["waker"] == "io"
    if root.ms - body.ms < HELD_S * 500:
        disturbed("the body came late")
    assert body.ms * 1e6 == pytest.approx(sent.got_ns - sent.sent_ns, abs=2 * TICK_NS + 4e6)
    assert busy.ms > 0.8 * (root.ms - body.ms)


def test_requests_felt_what_their_clients_did(seen: Seen) -> None:
    errors = []
    for path in ("/first", "/second", "/blocks", "/works-on", "/fails"):
        felt = seen.clients[path]
        errors.append(felt.got_ns - felt.sent_ns - seen.root(path).ms * 1e6)
    assert sorted(errors)[len(errors) // 2] < 2e6 + TICK_NS
    assert seen.root("/works-on").ms < HELD_S * 500, "what a task does after the response is not the request's"


def test_what_is_put_around_the_framework_is_in_the_window_of_its_span(seen: Seen) -> None:
    root = seen.root("/framework/{one}")
    (server,) = [one for one in seen.spans.spans if one.span_id == root.parent_id]
    assert (server.scope, server.trace_id) == ("whywait", root.trace_id)
    assert (server.start_ns - root.start_ns) / 1e6 > 19
    (outside,) = [one for one in seen.waits(root, "await") if one.attributes["code.function.name"] == "app"]
    assert outside.ms == pytest.approx(20, abs=3)


def test_a_request_without_a_span_gets_one(seen: Seen) -> None:
    root = seen.root("/fails")
    (server,) = [one for one in seen.spans.spans if one.span_id == root.parent_id]
    assert (server.kind, server.error, server.scope) == (SERVER, True, "whywait")
    assert server.attributes["http.response.status_code"] == 503
    assert root.start_ns <= server.start_ns
    assert seen.root("/called").trace_id == "ab" * 16
    paths = {one.name for one in seen.spans.spans if one.kind == SERVER}
    asked = {f"GET {one}" for one in seen.clients if one not in ("/unsampled", "/framework/1")}
    assert paths == asked | {"GET /framework/{one}", "GET /gone", "GET /piped/1", "GET /piped/2"}


def test_a_proxys_stamp_is_used_where_it_can_be_right(seen: Seen) -> None:
    root, skewed = seen.root("/proxied"), seen.root("/skewed")
    (before,) = seen.waits(root, "ingress_wait")[:1]
    assert (root["ingress.from"], before["evidence"]) == ("proxy", "inferred")
    assert before.ms == pytest.approx(50, abs=6)
    assert skewed["ingress.from"] == "kernel"
    assert skewed["ingress.skew_ns"] == pytest.approx(3.6e12, rel=0.01)
    assert skewed.ms < 1_000


def test_a_slow_reader_is_waited_for(seen: Seen) -> None:
    root, felt = seen.root("/big"), seen.clients["/big"]
    (egress,) = [one for one in seen.waits(root, "await") if one["for"] == "egress"]
    assert egress["waker"] == "io"
    made_ms = (egress.start_ns - root.start_ns) / 1e6  # the client rests from when it asked, the answer is made first
    assert HELD_S * 900 - made_ms < egress.ms < (felt.got_ns - felt.sent_ns) / 1e6
    assert made_ms < HELD_S * 900
    assert egress.end_ns <= root.end_ns


@pytest.mark.parametrize("path", ["/fits", "/fits-with-nagle"])
def test_a_response_that_its_kernel_keeps_is_waited_for(seen: Seen, path: str) -> None:
    """Its server has written all of it at once, and has no more to do with it."""
    root, felt = seen.root(path), seen.clients[path]
    (egress,) = [one for one in seen.waits(root, "await") if one["for"] == "egress"]
    assert egress.ms > HELD_S * 900 - (egress.start_ns - root.start_ns) / 1e6
    assert root.ms * 1e6 <= felt.got_ns - felt.sent_ns + TICK_NS
    assert root["egress.nagle"] is None


def test_a_client_that_leaves_ends_its_request_with_the_task(seen: Seen) -> None:
    assert took_ns[-1] / 1e6 < seen.root("/gone").ms < took_ns[-1] / 1e6 + TICK_NS / 1e6 + 5


def test_the_end_of_a_response_that_nagle_holds_is_in_the_window(seen: Seen) -> None:
    held = [path for path in seen.clients if path.startswith("/delayed/") and seen.root(path)["egress.nagle"]]
    assert len(held) == sum(one["egress.nagle"] is True for one in seen.spans.spans)
    if seen.loop == "uvloop":  # it turns the algorithm off
        assert held == []
        return
    assert held
    for path in held:
        root, felt = seen.root(path), seen.clients[path]
        (egress,) = [one for one in seen.waits(root, "await") if one["for"] == "egress"]
        assert egress.ms > 20
        assert root.ms * 1e6 == pytest.approx(felt.got_ns - felt.sent_ns, abs=3 * TICK_NS)
