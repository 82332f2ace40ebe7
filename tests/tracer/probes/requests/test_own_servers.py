"""Sanic, Tornado and FastStream with their real packages: requests of the right name and amount, whom they waited for, and the same
answers as without whywait. The clients are those of `test_frameworks`."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any

import pytest

from testbed.service import free_port
from tests.tracer.conftest import Traced
from tests.tracer.probes.requests.frameworks import WAIT_S, nap
from tests.tracer.probes.requests.test_frameworks import Asked, assert_behind, assert_felt, told, under_uvicorn
from whywait import analysis

numbers = itertools.count()


def sanic_shop() -> Any:
    package = pytest.importorskip("sanic")
    from sanic.response import json

    app = package.Sanic(f"shop{next(numbers)}", configure_logging=False)
    app.config.TOUCHUP = False  # it compiles its own methods anew, once a process

    @app.get("/item/<number:int>")  # type: ignore[untyped-decorator, unused-ignore]
    async def item(_: Any, number: int) -> Any:
        await asyncio.sleep(WAIT_S)
        return json({"item": number})

    @app.get("/block")  # type: ignore[untyped-decorator, unused-ignore]
    async def block(_: Any) -> Any:
        nap()
        return json({})

    @app.get("/worker")  # type: ignore[untyped-decorator, unused-ignore]
    async def worker(_: Any) -> Any:
        await asyncio.to_thread(nap)
        return json({})

    @app.get("/broken")  # type: ignore[untyped-decorator, unused-ignore]
    async def broken(_: Any) -> Any:
        raise RuntimeError("broken")

    return app


async def sanic_under_uvicorn() -> Asked:
    return await under_uvicorn(sanic_shop(), free_port())


async def sanic() -> Asked:
    app, port = sanic_shop(), free_port()
    server = await app.create_server("127.0.0.1", port, return_asyncio_server=True, access_log=False)
    await server.startup()
    try:
        return await asyncio.to_thread(Asked, port)
    finally:
        server.close()
        await asyncio.sleep(0.05)  # its connections see that their clients have gone


async def tornado() -> Asked:
    web = pytest.importorskip("tornado.web")

    class Item(web.RequestHandler):  # type: ignore[misc, name-defined, unused-ignore]
        async def get(self, number: str) -> None:
            await asyncio.sleep(WAIT_S)
            self.write({"item": int(number)})

    class Block(web.RequestHandler):  # type: ignore[misc, name-defined, unused-ignore]
        def get(self) -> None:
            nap()
            self.write({})

    class Worker(web.RequestHandler):  # type: ignore[misc, name-defined, unused-ignore]
        async def get(self) -> None:
            await asyncio.to_thread(nap)
            self.write({})

    class Broken(web.RequestHandler):  # type: ignore[misc, name-defined, unused-ignore]
        async def get(self) -> None:
            raise RuntimeError("broken")

    for one in (Item, Block, Worker, Broken):
        one.__qualname__ = one.__name__
    rules = [(r"/item/(\d+)", Item), (r"/block", Block), (r"/worker", Worker), (r"/broken", Broken)]
    port = free_port()
    server = web.Application(rules).listen(port, "127.0.0.1")
    try:
        return await asyncio.to_thread(Asked, port)
    finally:
        server.stop()
        await server.close_all_connections()


SANIC = {
    "/item/1": "GET /item/<number:int>",
    "/block": "GET /block",
    "/worker": "GET /worker",
    "/broken": "GET /broken",
}
NAMES = {
    sanic: SANIC,
    sanic_under_uvicorn: SANIC,
    tornado: {"/item/1": "GET Item", "/block": "GET Block", "/worker": "GET Worker", "/broken": "GET Broken"},
}  # fmt: skip


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("serve", list(NAMES), ids=lambda one: one.__name__)
def test_requests_of_a_framework_that_is_its_own_server(
    traced_to: Callable[..., Traced], serve: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("sanic.error").disabled = True
    plain = asyncio.run(serve())
    spans = traced_to(keep="all")
    asked = asyncio.run(serve())
    spans.stop()
    assert asked.answers == plain.answers
    found = analysis.analyze(spans.output)
    assert list(found.findings) == []
    names = NAMES[serve]
    requests = found.requests.set_index("endpoint")
    for path, count, status in (("/item/1", 2, 200), ("/block", 2, 200), ("/worker", 2, 200), ("/broken", 1, 500)):
        assert list(requests["status_code"].loc[[names[path]]]) == [status] * count
    renamed = requests.rename(index={own: f"GET {path}" for path, own in names.items()})
    assert_felt(asked, renamed, "GET /item/1")
    assert told(found, names["/item/1"], "await_io") == pytest.approx([WAIT_S * 1e3] * 2, abs=3)
    # one waits for the other, which stops the loop; who it is has a name and a line
    assert_behind(spans, told(found, names["/block"], "loop_busy"), "loop_busy", "blocker.function")
    held = found.culprits[found.culprits["cause"] == "loop_busy"].sort_values("ns").iloc[-1]
    assert (held["culprit"], held["culprit_line"]) == ("nap", nap.__code__.co_firstlineno + 1)
    roots = [one for one in spans.of_kind("task") if one["root"] and one["ingress.from"] == "kernel"]
    assert len(roots) >= sum(len(asked.felt[path]) for path in names)


async def faststream() -> list[Any]:
    pytest.importorskip("faststream")
    from faststream.redis import RedisBroker, TestRedisBroker

    broker, answers = RedisBroker(), []

    @broker.subscriber("orders")
    async def on_order(message: str) -> None:
        await asyncio.sleep(WAIT_S)
        answers.append(message)
        if message == "bad":
            raise ValueError(message)

    async with TestRedisBroker(broker):
        for message in ("one", "two", "bad"):
            try:
                await broker.publish(message, "orders")
            except ValueError as error:
                answers.append(repr(error))
    return answers


@pytest.mark.filterwarnings("default")
def test_messages_of_faststream(traced_to: Callable[..., Traced]) -> None:
    plain = asyncio.run(faststream())
    spans = traced_to(keep="all")
    assert asyncio.run(faststream()) == plain
    spans.stop()
    found = analysis.analyze(spans.output)
    assert list(found.requests["endpoint"]) == ["on_order"] * 3
    assert list(found.requests["error"]) == [False, False, True]
    assert told(found, "on_order", "await_io") == pytest.approx([WAIT_S * 1e3] * 3, abs=3)
    timers = found.culprits[found.culprits["cause"] == "await_io"]
    assert timers["culprit_file"].str.endswith("test_own_servers.py").all()
