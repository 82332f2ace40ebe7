"""Each ASGI framework with its real package, under uvicorn and under hypercorn: requests of the right name and amount, whom
they waited for, and the same answers as without whywait. The clients are threads with raw sockets and their own clock."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns
from typing import Any

import pytest

from testbed.disturbed import disturbed
from testbed.service import free_port
from tests.tracer.conftest import Traced
from tests.tracer.probes.requests.frameworks import HELD_S, ITEM, WAIT_S, bare, django, litestar, nap, quart, starlette
from whywait import analysis
from whywait.tracer.probes.requests.tcp_info import TICK_NS

Begin = Callable[..., Traced]
HELD_MS = HELD_S * 1e3
NOISE_MS = 4.0  # of the client's own thread, which shares the GIL with the server


class Asked:
    """What two clients got, and what each felt in ms, by path."""

    def __init__(self, port: int) -> None:
        self.answers: list[bytes] = []
        self.felt: dict[str, list[float]] = {}
        self._clients = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(2)]
        for one in self._clients:  # known connections: that of a new one begins in the kernel, before it is accepted
            self._ask(one, "/first")
        together = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            for path in ("/item/1", "/block", "/worker"):
                list(pool.map(lambda one, path=path: self._ask(one, path, together), self._clients))
        self._ask(self._clients[0], "/broken")
        for one in self._clients:
            one.close()

    def _ask(self, client: socket.socket, path: str, together: threading.Barrier | None = None) -> None:
        if together is not None:
            together.wait(10)
        sent_ns, got = perf_counter_ns(), b""
        client.sendall(f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        while not self._is_whole(got):
            part = client.recv(65_536)
            assert part
            got += part
        self.felt.setdefault(path, []).append((perf_counter_ns() - sent_ns) / 1e6)
        if path != "/first":
            lines = got.split(b"\r\n")
            self.answers.append(b"\r\n".join(one for one in lines if not one.lower().startswith(b"date:")))

    @staticmethod
    def _is_whole(got: bytes) -> bool:
        head, found, body = got.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].split()
        return bool(found) and (len(body) >= int(length[0]) if length else body.endswith(b"0\r\n\r\n"))


async def under_uvicorn(app: Any, port: int) -> Asked:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        return await asyncio.to_thread(Asked, port)
    finally:
        server.should_exit = True
        await serving


async def under_hypercorn(app: Any, port: int) -> Asked:
    pytest.importorskip("hypercorn")
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config, stop = Config(), asyncio.Event()
    config.bind, config.errorlog = [f"127.0.0.1:{port}"], None
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
    await asyncio.sleep(0.2)
    try:
        return await asyncio.to_thread(Asked, port)
    finally:
        stop.set()
        await serving


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("build", "serve"),
    [(one, under_uvicorn) for one in ITEM] + [(quart, under_hypercorn), (bare, under_hypercorn)],
    ids=lambda one: one.__name__,
)
def test_requests_of_a_framework(traced_to: Begin, build: Callable[[], Any], serve: Any) -> None:
    assert {django, litestar, quart, starlette, bare} == set(ITEM)
    app = build()
    logging.getLogger("quart.app").disabled = True
    plain = asyncio.run(serve(app, free_port()))
    spans = traced_to(keep="all")
    asked = asyncio.run(serve(app, free_port()))
    spans.stop()
    assert asked.answers == plain.answers
    found = analysis.analyze(spans.output)
    assert list(found.findings) == []
    requests = found.requests[found.requests["endpoint"] != "GET /first"].set_index("endpoint")
    item = f"GET {ITEM[build]}"
    assert dict(requests["status_code"].groupby(level=0).count()) == {
        item: 2, "GET /block": 2, "GET /worker": 2, "GET /broken": 1,
    }  # fmt: skip
    assert requests.loc["GET /broken", "status_code"] == 500
    assert_felt(asked, requests, item)
    assert told(found, item, "await_io") == pytest.approx([WAIT_S * 1e3] * 2, abs=3)
    # one waits for the other, which stops the loop: its handler, or its response, is behind
    assert_behind(spans, told(found, "GET /block", "loop_busy"), "loop_busy", "blocker.function")
    if build is bare:  # asgiref's one thread
        assert_behind(spans, told(found, "GET /worker", "pool_queue"), "pool_queue", "occupant.names")
    else:
        assert told(found, "GET /worker", "blocking_io") == pytest.approx([HELD_MS] * 2, abs=3)
        assert max(told(found, "GET /worker", "pool_queue")) < HELD_MS / 4, "each has its thread"


def told(found: Any, endpoint: str, cause: str) -> list[float]:
    """The ms of a cause in each request of an endpoint, least first."""
    mine = found.requests.loc[found.requests["endpoint"] == endpoint, "request_id"]
    causes = found.causes[found.causes["cause"] == cause].groupby("request_id")["amount_ns"].sum() / 1e6
    return sorted(float(causes.get(one, 0.0)) for one in mine)


def assert_felt(asked: Asked, requests: Any, item: str) -> None:
    """The windows are what the clients felt, each time."""
    for path, endpoint in (("/item/1", item), ("/block", "GET /block"), ("/worker", "GET /worker")):
        for client, window in zip(
            sorted(asked.felt[path]), sorted(requests.loc[endpoint, "wall_ns"] / 1e6), strict=True
        ):
            if client - window > 2 * NOISE_MS + TICK_NS / 1e6 and client < HELD_MS * 1.5:
                disturbed(f"a client's thread had no CPU: it felt {client:.0f} ms of {window:.0f} ms")
            assert -TICK_NS / 1e6 - 0.5 < client - window < 2 * NOISE_MS + TICK_NS / 1e6, (path, client, window)


def assert_behind(spans: Traced, waits: list[float], kind: str, who: str) -> None:
    """One of two waited for the other, who is named."""
    behind = [one.ms for one in spans.of_kind("wait") if one["wait"] == kind and nap.__name__ in one[who]]
    if max(behind, default=HELD_MS) < HELD_MS / 2:
        disturbed(f"the second came when the first had almost ended: {max(behind):.0f} ms before")
    if waits[1] > 1.3 * HELD_MS:
        disturbed(f"the machine held the loop, too: {waits[1]:.0f} ms in all")
    assert waits[1] > 0.8 * HELD_MS
    assert max(behind, default=0) > 0.8 * waits[1]
