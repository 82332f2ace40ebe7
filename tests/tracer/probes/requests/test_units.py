"""Each server and worker with its real package: one request per unit of work, of the right name and amount, and the
same answers as without whywait."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from testbed.service import free_port
from tests.tracer.conftest import Traced
from whywait import analysis
from whywait.analysis.model import NO_ARRIVAL
from whywait.analysis.verdicts.not_observed import not_observed

Begin = Callable[..., Traced]
PAUSE_S = 0.06  # the client's own, between two messages
CONNECTED_NS: list[int] = []  # how long each connection lasted, by the client's clock


async def until(connect: Callable[[], Awaitable[Any]]) -> Any:
    for _ in range(200):
        try:
            return await connect()
        except OSError:
            await asyncio.sleep(0.01)
    raise AssertionError("the server does not answer")


def same_answers(begin: Begin, ask: Callable[[], Awaitable[Any]]) -> tuple[Any, Any, Traced]:
    """Ask without and with whywait; return the answer, what the analysis says, and the spans."""
    plain = asyncio.run(ask())
    spans = begin()
    traced = asyncio.run(ask())
    spans.stop()
    assert traced == plain
    found = analysis.analyze(spans.output)
    assert list(found.findings) == []
    assert len([one for one in spans.of_kind("task") if one["root"]]) == len(found.requests)
    return traced, found, spans


def told(found: Any, endpoint: str) -> dict[str, float]:
    """The mean ms of each cause of an endpoint's requests."""
    mine = found.requests[found.requests["endpoint"] == endpoint]
    assert len(mine), f"no {endpoint!r} among {sorted(set(found.requests['endpoint']))}"
    causes = found.causes[found.causes["request_id"].isin(mine["request_id"].unique())]
    return dict(causes.groupby("cause")["amount_ns"].sum() / 1e6 / len(mine))


def kept(response: httpx.Response) -> tuple[int, str, dict[str, str]]:
    return response.status_code, response.text, {k: v for k, v in response.headers.items() if k != "date"}


def assert_messages(found: Any, spans: Traced, endpoint: str, count: int) -> None:
    """So many messages, each of which took its 5 ms, and none the client's pauses."""
    mine = found.requests[found.requests["endpoint"] == endpoint]
    assert len(mine) == count, sorted(found.requests["endpoint"])
    assert told(found, endpoint)["await_io"] > 4
    rest_ns = CONNECTED_NS[-1] - count * PAUSE_S * 1e9
    assert mine["wall_ns"].sum() < rest_ns, "no connection is a request, and no pause part of one"


# --- aiohttp.web --------------------------------------------------------------------------------------
async def ask_aiohttp() -> Any:
    web = pytest.importorskip("aiohttp.web")
    import aiohttp

    async def item(request: Any) -> Any:
        await asyncio.sleep(0.02)
        return web.json_response({"item": request.match_info["number"]})

    async def broken(_: Any) -> Any:
        raise RuntimeError("broken")

    async def refused(_: Any) -> Any:
        raise web.HTTPForbidden

    async def echo(request: Any) -> Any:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await asyncio.sleep(0.005)
            await socket.send_str(message.data)
        return socket

    app = web.Application()
    app.add_routes(
        [web.get("/item/{number}", item), web.get("/broken", broken), web.get("/no", refused), web.get("/ws", echo)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    answers = []
    async with httpx.AsyncClient() as client:
        for path in ("/item/1", "/item/2", "/broken", "/no", "/missing"):
            answers.append(kept(await client.get(base + path)))
    began_ns = time.perf_counter_ns()
    async with aiohttp.ClientSession() as session, session.ws_connect(base + "/ws") as messages:
        for number in range(3):
            await messages.send_str(str(number))
            answers.append(await messages.receive_str())
            await asyncio.sleep(PAUSE_S)
        CONNECTED_NS.append(time.perf_counter_ns() - began_ns)
    await runner.cleanup()
    return answers


@pytest.mark.filterwarnings("default")
def test_aiohttp_web(traced_to: Begin, caplog: pytest.LogCaptureFixture) -> None:
    _, found, spans = same_answers(traced_to, ask_aiohttp)
    requests = found.requests.set_index("endpoint")["status_code"]
    assert list(requests["GET /item/{number}"]) == [200, 200]
    assert (requests["GET /broken"], requests["GET /no"], requests["GET /missing"]) == (500, 403, 404)
    assert told(found, "GET /item/{number}")["await_io"] == pytest.approx(20, abs=3)
    servers = [one for one in spans.spans if one.name == "GET /item/{number}"]
    roots = [one for one in spans.of_kind("task") if one["root"] and one.parent_id == servers[0].span_id]
    assert roots[0]["ingress.from"] == "kernel"
    assert roots[0].attributes["code.function.name"].endswith("item")
    assert_messages(found, spans, "WS /ws", 3)


# --- websockets: the library's own server, and under uvicorn --------------------------------------------
async def talk(url: str) -> list[Any]:
    from websockets.asyncio.client import connect

    answers, began_ns = [], time.perf_counter_ns()
    async with await until(lambda: connect(url)) as messages:
        for number in range(3):
            await messages.send(str(number))
            answers.append(await messages.recv())
            await asyncio.sleep(PAUSE_S)
    CONNECTED_NS.append(time.perf_counter_ns() - began_ns)
    return answers


async def ask_websockets() -> Any:
    from websockets.asyncio.server import serve

    async def echo(connection: Any) -> None:
        async for message in connection:
            await asyncio.sleep(0.005)
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        return await talk(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/chat?token=s3cret")


def test_the_server_of_websockets(traced_to: Begin) -> None:
    answers, found, spans = same_answers(traced_to, ask_websockets)
    assert answers == ["0", "1", "2"]
    assert_messages(found, spans, "WS /chat", 3)
    assert "s3cret" not in repr(spans.spans)


STAMPS: dict[str, list[int]] = {}  # by path: begun, first part sent, last part sent, ended


async def echo_asgi(scope: Any, receive: Any, send: Any) -> None:
    """A bare ASGI application."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await asyncio.sleep(0.005)
            await send({"type": "websocket.send", "text": event["text"]})
    else:
        status = 503 if scope["path"] == "/broken" else 200
        at = [time.perf_counter_ns()]
        await send({"type": "http.response.start", "status": status, "headers": [(b"x-a", b"b")]})
        await asyncio.sleep(0.02)
        at.append(time.perf_counter_ns())
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await asyncio.sleep(0.02)
        await send({"type": "http.response.body", "body": b"two"})
        at.append(time.perf_counter_ns())
        await asyncio.sleep(0.05)  # after the response
        STAMPS[scope["path"]] = [*at, time.perf_counter_ns()]


def fastapi_echo() -> Any:
    from fastapi import FastAPI, WebSocket

    app = FastAPI()

    @app.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        async for message in socket.iter_text():
            await asyncio.sleep(0.005)
            await socket.send_text(message)

    return app


async def ask_uvicorn(app: Any, ws: str) -> Any:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="error", ws=ws))  # type: ignore[arg-type]
    serving = asyncio.create_task(server.serve())
    try:
        return await talk(f"ws://127.0.0.1:{server.config.port}/chat")
    finally:
        server.should_exit = True
        await serving


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("app", "ws"), [
    (echo_asgi, "websockets"), (echo_asgi, "websockets-sansio"), (echo_asgi, "wsproto"), (None, "websockets-sansio"),
])  # fmt: skip
def test_websockets_under_uvicorn(traced_to: Begin, app: Any, ws: str) -> None:
    if ws == "wsproto":
        pytest.importorskip("wsproto")
    answers, found, spans = same_answers(traced_to, lambda: ask_uvicorn(app or fastapi_echo(), ws))
    assert answers == ["0", "1", "2"]
    assert_messages(found, spans, "WS /chat", 3)
    assert set(found.requests["endpoint"]) == {"WS /chat", "WS /chat connect"}


# --- a websocket on which its server speaks of its own accord ----------------------------------------------
async def listen(url: str) -> list[Any]:
    from websockets.asyncio.client import connect

    async with await until(lambda: connect(url)) as messages:
        return [one async for one in messages]


async def push(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(0.02)  # its client waits for what it sends first
    for number in range(4):
        await send({"type": "websocket.send", "text": str(number)})
        await asyncio.sleep(PAUSE_S)
    await send({"type": "websocket.close"})


async def push_from_uvicorn(ws: str) -> list[Any]:
    import uvicorn

    config = uvicorn.Config(push, port=free_port(), log_level="error", ws=ws, lifespan="off")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        return await listen(f"ws://127.0.0.1:{config.port}/feed")
    finally:
        server.should_exit = True
        await serving


async def push_from_hypercorn(_: str) -> list[Any]:
    pytest.importorskip("hypercorn")
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (push if scope["type"] == "websocket" else echo_asgi)(scope, receive, send)

    config, port, stop = Config(), free_port(), asyncio.Event()
    config.bind = [f"127.0.0.1:{port}"]
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
    answers = await listen(f"ws://127.0.0.1:{port}/feed")
    stop.set()
    await serving
    return answers


async def push_from_aiohttp(_: str) -> list[Any]:
    web = pytest.importorskip("aiohttp.web")

    async def feed(request: Any) -> Any:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await asyncio.sleep(0.02)
        for number in range(4):
            await socket.send_str(str(number))
            await asyncio.sleep(PAUSE_S)
        return socket

    app = web.Application()
    app.add_routes([web.get("/feed", feed)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    answers = await listen(f"ws://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/feed")
    await runner.cleanup()
    return answers


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("ask", "ws"), [
    (push_from_uvicorn, "websockets"), (push_from_uvicorn, "websockets-sansio"), (push_from_uvicorn, "wsproto"),
    (push_from_hypercorn, ""), (push_from_aiohttp, ""),
], ids=lambda one: getattr(one, "__name__", one))  # fmt: skip
def test_a_server_that_pushes_messages_scales_no_chart(traced_to: Begin, ask: Any, ws: str) -> None:
    """The connection's beginning ends with the first of them; the pauses that follow are nobody's wait."""
    if ws == "wsproto":
        pytest.importorskip("wsproto")
    answers, found, _ = same_answers(traced_to, lambda: ask(ws))
    assert answers == ["0", "1", "2", "3"]
    (request,) = found.requests.to_dict("records")
    assert request["endpoint"] in ("WS /feed connect", "GET /feed")
    assert 20 <= request["wall_ns"] / 1e6 < 20 + PAUSE_S * 1e3
    assert told(found, request["endpoint"])["await_io"] == pytest.approx(20, abs=4)


# --- other ASGI servers ----------------------------------------------------------------------------------
async def ask_hypercorn() -> Any:
    pytest.importorskip("hypercorn")
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config, port, stop = Config(), free_port(), asyncio.Event()
    config.bind = [f"127.0.0.1:{port}"]
    serving = asyncio.create_task(serve(echo_asgi, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
    base = f"127.0.0.1:{port}"
    messages = await talk(f"ws://{base}/chat")
    async with httpx.AsyncClient() as client:
        answers = [kept(await client.get(f"http://{base}{path}")) for path in ("/a", "/broken")]
        await asyncio.sleep(0.1)
    stop.set()
    await serving
    return messages, answers


def test_hypercorn(traced_to: Begin) -> None:
    (messages, answers), found, spans = same_answers(traced_to, ask_hypercorn)
    assert messages == ["0", "1", "2"]
    assert [one[:2] for one in answers] == [(200, "onetwo"), (503, "onetwo")]
    assert_messages(found, spans, "WS /chat", 3)
    statuses = found.requests.set_index("endpoint")["status_code"]
    assert (statuses["GET /a"], statuses["GET /broken"]) == (200, 503)
    begun, first_part, last_part, ended = STAMPS["/a"]
    wall_ns = sum(told(found, "GET /a").values()) * 1e6
    assert last_part - begun - 1e6 < wall_ns < ended - begun, "what follows the response is nobody's"
    (first,) = [one["first_byte_ns"] for one in spans.of_kind("task") if one.parent_id == spans.one("GET /a").span_id]
    assert first_part - begun < first < wall_ns - 19e6


# --- grpc.aio ----------------------------------------------------------------------------------------------
async def ask_grpc() -> Any:
    grpc = pytest.importorskip("grpc")
    aio = pytest.importorskip("grpc.aio")

    async def rank(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(0.02)
        if request == b"bad":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        return request * 2

    async def stream(request: bytes, _: Any) -> Any:
        for number in range(3):
            await asyncio.sleep(0.01)
            yield request + str(number).encode()

    server = aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("shop.Ranking", {
            "Rank": grpc.unary_unary_rpc_method_handler(rank), "Stream": grpc.unary_stream_rpc_method_handler(stream),
        }),)
    )  # fmt: skip
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    answers: list[Any] = []
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/shop.Ranking/Rank")
        answers.append(await call(b"a"))
        with contextlib.suppress(grpc.RpcError):
            await call(b"bad")
        try:
            await call(b"bad")
        except grpc.RpcError as error:
            answers.append((error.code(), error.details()))
        answers += [one async for one in channel.unary_stream("/shop.Ranking/Stream")(b"s")]
    await server.stop(1)
    return answers


def test_grpc_aio(traced_to: Begin) -> None:
    _, found, _ = same_answers(traced_to, ask_grpc)
    assert sorted(found.requests["endpoint"]) == ["shop.Ranking/Rank"] * 3 + ["shop.Ranking/Stream"]
    assert told(found, "shop.Ranking/Rank")["await_io"] == pytest.approx(20, abs=4)
    assert told(found, "shop.Ranking/Stream")["await_io"] == pytest.approx(30, abs=5)
    unknown = {one.signal: one.requests for one in not_observed(found.requests)}
    assert unknown[NO_ARRIVAL] == 4, "it is said where it is not known"


# --- workers -------------------------------------------------------------------------------------------------
def burn(ms: float) -> None:
    deadline = time.thread_time() + ms / 1e3
    while time.thread_time() < deadline:
        pass


async def ask_taskiq() -> Any:
    taskiq = pytest.importorskip("taskiq")
    broker = taskiq.InMemoryBroker()

    @broker.task(task_name="shop:rank")
    async def rank(number: int) -> int:
        await asyncio.sleep(0.02)
        return number + 1

    @broker.task(task_name="shop:burn")
    def work(number: int) -> int:
        burn(20)
        return number + 1

    await broker.startup()
    answers = [(await (await one.kiq(1)).wait_result()).return_value for one in (rank, work)]
    await broker.shutdown()
    return answers


def test_taskiq(traced_to: Begin) -> None:
    answers, found, spans = same_answers(traced_to, ask_taskiq)
    assert answers == [2, 2]
    assert sorted(found.requests["endpoint"]) == ["shop:burn", "shop:rank"]
    assert told(found, "shop:rank")["await_io"] == pytest.approx(20, abs=4)
    assert told(found, "shop:burn")["compute"] > 15
    assert spans.one("shop:rank").kind == 5


async def ask_arq() -> Any:
    pytest.importorskip("arq")
    fakeredis = pytest.importorskip("fakeredis")
    from arq.connections import ArqRedis
    from arq.worker import Worker, func

    async def rank(_: Any, number: int) -> int:
        await asyncio.sleep(0.02)
        return number + 1

    async def broken(_: Any) -> None:
        raise ValueError("broken")

    pool = ArqRedis(connection_pool=fakeredis.FakeAsyncRedis().connection_pool)
    jobs = [await pool.enqueue_job("rank", 1), await pool.enqueue_job("broken")]
    worker = Worker([func(rank, name="rank"), func(broken, name="broken")], redis_pool=pool, burst=True,
                    handle_signals=False, poll_delay=0.01, max_tries=1)  # fmt: skip
    await worker.main()
    results = [await one.result_info() for one in jobs if one is not None]
    await worker.close()
    return [(one.success, repr(one.result)) for one in results if one is not None]


@pytest.mark.filterwarnings("default")
def test_arq(traced_to: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> None:
        """The stand-in for Redis has no `info`."""

    pytest.importorskip("arq")
    monkeypatch.setattr("arq.worker.log_redis_info", nothing)
    answers, found, _ = same_answers(traced_to, ask_arq)
    assert answers == [(True, "2"), (False, "ValueError('broken')")]
    assert sorted(found.requests["endpoint"]) == ["broken", "rank"]
    assert told(found, "rank")["await_io"] == pytest.approx(20, abs=6)
