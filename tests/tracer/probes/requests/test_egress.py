"""A client that takes its response late, from hypercorn and aiohttp.web: all of it lies in the kernel, the server has done
with it, and the window lasts until it is sent. The client's own clock says for how long. Uvicorn's are in
test_uvicorn_server.py."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from testbed.service import free_port
from tests.tracer.conftest import Traced
from whywait import analysis
from whywait.tracer.probes.requests.tcp_info import TICK_NS

pytestmark = pytest.mark.skipif(TICK_NS == 0, reason="the kernel tells on Linux")
RESTS_S = 0.08
FITS = b"x" * 120_000  # into what the kernel keeps of a connection, but not into what its client's kernel takes


@asynccontextmanager
async def hypercorn() -> AsyncIterator[int]:
    pytest.importorskip("hypercorn")
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            body = FITS if scope["path"] == "/fits" else b"ok"
            headers = [(b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    config, stop, port = Config(), asyncio.Event(), free_port()
    config.bind, config.errorlog = [f"127.0.0.1:{port}"], None
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
    await asyncio.sleep(0.2)
    yield port
    stop.set()
    await serving


@asynccontextmanager
async def aiohttp() -> AsyncIterator[int]:
    web = pytest.importorskip("aiohttp.web")

    async def answer(request: Any) -> Any:
        return web.Response(body=FITS if request.path == "/fits" else b"ok")

    app, port = web.Application(), free_port()
    app.add_routes([web.get("/fits", answer), web.get("/next", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield port
    await runner.cleanup()


def ask(client: socket.socket, path: str, rests_s: float = 0) -> float:
    """Return how long it took, in ms."""
    began, got = time.perf_counter(), bytearray()
    client.sendall(f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    time.sleep(rests_s)
    length = 1
    while len(got) < length:
        part = client.recv(65_536)
        assert part
        got += part
        head, found, _ = bytes(got).partition(b"\r\n\r\n")
        length = (
            len(head) + 4 + int(head.lower().partition(b"content-length:")[2].split()[0]) if found else len(got) + 1
        )
    return (time.perf_counter() - began) * 1e3


def visit(port: int) -> float:
    """The next request of the connection comes as soon as the response before it is read."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        client.connect(("127.0.0.1", port))
        took_ms = ask(client, "/fits", RESTS_S)
        ask(client, "/next")
    return took_ms


def end_another_loop() -> None:
    """As a synchronous handler does that runs a coroutine of its own."""
    time.sleep(RESTS_S / 4)
    asyncio.run(asyncio.sleep(0))


def test_the_end_of_another_loop_ends_no_response_of_this_one(traced_to: Callable[..., Traced]) -> None:
    async def main() -> None:
        async with aiohttp() as port:
            await asyncio.gather(asyncio.to_thread(visit, port), asyncio.to_thread(end_another_loop))

    spans = traced_to(keep="all")
    asyncio.run(main())
    spans.stop()
    requests = analysis.analyze(spans.output).requests.set_index("endpoint")
    assert requests.loc["GET /fits", "wall_ns"] > RESTS_S * 0.9e9


@pytest.mark.parametrize("serve", [hypercorn, aiohttp], ids=lambda one: one.__name__)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_response_lasts_until_its_kernel_has_sent_it(
    traced_to: Callable[..., Traced], serve: Callable[[], Any], loop: str
) -> None:
    async def main() -> float:
        async with serve() as port:
            return await asyncio.to_thread(visit, port)

    factory = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else None
    spans = traced_to(keep="all")
    with asyncio.Runner(loop_factory=factory) as runner:
        took_ms = runner.run(main())
    spans.stop()
    found = analysis.analyze(spans.output)
    assert list(found.findings) == []
    requests = found.requests.set_index("endpoint")
    wall_ms = requests["wall_ns"] / 1e6
    assert RESTS_S * 900 < wall_ms["GET /fits"] < took_ms + TICK_NS / 1e6
    assert wall_ms["GET /next"] < RESTS_S * 500
    causes = found.causes[found.causes["request_id"] == requests.loc["GET /fits", "request_id"]]
    sent_ms = causes.loc[causes["cause"] == "request_io", "amount_ns"].sum() / 1e6
    assert sent_ms > 0.8 * wall_ms["GET /fits"]
    assert causes["amount_ns"].sum() == requests.loc["GET /fits", "wall_ns"]
