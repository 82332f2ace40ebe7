"""A client that takes its response late, from hypercorn and aiohttp.web: all of it lies in the kernel, the server has done
with it, and the window lasts until it is sent. The client's own clock says for how long. More of uvicorn's
are in test_uvicorn_server.py."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from testbed.service import free_port
from tests.tracer.conftest import Traced
from tests.tracer.probes.requests.frameworks import FITS
from whywait import analysis
from whywait.tracer.probes.requests.tcp_info import TICK_NS

pytestmark = pytest.mark.skipif(TICK_NS == 0, reason="the kernel tells on Linux")
RESTS_S = 0.08


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


@asynccontextmanager
async def uvicorn() -> AsyncIterator[int]:
    from uvicorn import Config, Server

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", str(len(FITS)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": FITS})

    port = free_port()
    server = Server(Config(app, port=port, log_level="critical", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await serving


def ask(client: socket.socket, path: str, rests_s: float = 0, connection: str = "keep-alive") -> float:
    """Return how long it took, in ms."""
    began, got = time.perf_counter(), bytearray()
    client.sendall(f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: {connection}\r\n\r\n".encode())
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
    found, took_ms = driven(traced_to, serve, visit, loop)
    assert list(found.findings) == []
    requests = found.requests.set_index("endpoint")
    wall_ms = requests["wall_ns"] / 1e6
    assert RESTS_S * 900 < wall_ms["GET /fits"] < took_ms + TICK_NS / 1e6
    assert wall_ms["GET /next"] < RESTS_S * 500
    assert requests.loc["GET /fits", "handler_ns"] / 1e6 < RESTS_S * 200, (
        "what its client felt is no time of the handler"
    )
    causes = found.causes[found.causes["request_id"] == requests.loc["GET /fits", "request_id"]]
    sent_ms = causes.loc[causes["cause"] == "request_io", "amount_ns"].sum() / 1e6
    assert sent_ms > 0.8 * wall_ms["GET /fits"]
    assert causes["amount_ns"].sum() == requests.loc["GET /fits", "wall_ns"]


def visit_once(port: int) -> float:
    """The server closes the connection as soon as it has written all of its response."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        client.connect(("127.0.0.1", port))
        return ask(client, "/fits", RESTS_S, "close")


@pytest.mark.parametrize("serve", [uvicorn, hypercorn, aiohttp], ids=lambda one: one.__name__)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_response_lasts_until_it_is_sent_when_its_connection_is_closed(
    traced_to: Callable[..., Traced], serve: Callable[[], Any], loop: str
) -> None:
    """The server has closed the socket long before its kernel has sent the rest."""
    found, took_ms = driven(traced_to, serve, visit_once, loop)
    (request,) = found.requests.to_dict("records")
    assert RESTS_S * 900 < request["wall_ns"] / 1e6 < took_ms + RESTS_S * 200
    assert found.causes.loc[found.causes["cause"] == "request_io", "amount_ns"].sum() > 0.8 * request["wall_ns"]


class OverHttp2:
    """A client of one connection with two streams, whose windows take all of their responses at once."""

    def __init__(self, port: int) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection
        from h2.settings import SettingCodes

        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        self._socket.connect(("127.0.0.1", port))
        self._h2 = H2Connection(H2Configuration(client_side=True))
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
        self._h2.increment_flow_control_window(1 << 20)
        self.took_ms: dict[int, float] = {}
        self._asked: dict[int, float] = {}

    def ask(self, path: str) -> None:
        stream = self._h2.get_next_available_stream_id()
        said = {":method": "GET", ":path": path, ":scheme": "http", ":authority": "a"}
        self._h2.send_headers(stream, list(said.items()), end_stream=True)
        self._socket.sendall(self._h2.data_to_send())
        self._asked[stream] = time.perf_counter()

    def read(self, number: int) -> list[float]:
        """Return what so many responses took, in ms, by when they were asked for."""
        from h2.events import StreamEnded

        while len(self.took_ms) < number:
            for one in self._h2.receive_data(self._socket.recv(65_536)):
                if isinstance(one, StreamEnded):
                    self.took_ms[one.stream_id] = (time.perf_counter() - self._asked[one.stream_id]) * 1e3
            self._socket.sendall(self._h2.data_to_send())
        self._socket.close()
        return [self.took_ms[stream] for stream in sorted(self.took_ms)]


def visit_over_http2(port: int) -> list[float]:
    client = OverHttp2(port)
    client.ask("/fits")
    time.sleep(RESTS_S / 2)
    client.ask("/next")  # its response lies behind the other in the kernel
    time.sleep(RESTS_S / 2)
    return client.read(2)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_each_response_of_an_http2_connection_lasts_until_it_is_sent(
    traced_to: Callable[..., Traced], loop: str
) -> None:
    found, (first_ms, next_ms) = driven(traced_to, hypercorn, visit_over_http2, loop)
    wall_ms = found.requests.set_index("endpoint")["wall_ns"] / 1e6
    assert RESTS_S * 900 < wall_ms["GET /fits"] < first_ms + RESTS_S * 200
    assert RESTS_S * 400 < wall_ms["GET /next"] < next_ms + RESTS_S * 200
    assert wall_ms["GET /next"] < wall_ms["GET /fits"] - RESTS_S * 300


def driven(
    traced_to: Callable[..., Traced], serve: Callable[[], Any], visiting: Callable[[int], Any], loop: str
) -> Any:
    """Return what was analysed, and what the clients tell."""

    async def main() -> Any:
        async with serve() as port:
            return await asyncio.to_thread(visiting, port)

    factory = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else None
    spans = traced_to(keep="all")
    with asyncio.Runner(loop_factory=factory) as runner:
        told = runner.run(main())
    spans.stop()
    return analysis.analyze(spans.output), told
