"""The spans that stamps make are those that FastAPI would have made itself, and only of requests that are kept."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from opentelemetry import baggage, metrics, propagate, trace
from opentelemetry.sdk.metrics import MeterProvider
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from testbed.service import free_port
from tests.tracer.conftest import Span, Traced
from whywait.tracer.config import KEEP_SLOW
from whywait.tracer.export import sdk_internals
from whywait.tracer.hotpath import recorder as recorders

Begin = Callable[..., Traced]
CALLER = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "tracestate": "vendor=1", "baggage": "who=you"}
app = FastAPI()
inner = FastAPI()
told: dict[str, Any] = {}


async def ready() -> int:
    await asyncio.sleep(0.001)
    return 1


@app.get("/items/{number}")
async def item(number: int, tasks: BackgroundTasks, _: int = Depends(ready)) -> int:
    tasks.add_task(time.sleep, 0.001)
    trace.get_current_span().set_attribute("of.the.service", number)
    with trace.get_tracer("service").start_as_current_span("of the service"):
        await asyncio.sleep(0.001)
    return number


@app.get("/in-thread")
def in_thread() -> str:
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    told.update(carrier, seen=baggage.get_baggage("who"))
    return "done"


@app.get("/raises")
async def raises() -> None:
    raise ValueError


@app.get("/refuses")
async def refuses() -> None:
    raise HTTPException(418)


@inner.get("/within/{one}")
async def within(one: str) -> str:
    return one


app.mount("/mounted", inner)
PATHS = ("/items/7?color=red", "/items/nothing", "/in-thread", "/raises", "/refuses", "/missing", "/mounted/within/a")


@contextmanager
def served(application: Any) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(application, port=free_port(), log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.config.port}"
    finally:
        server.should_exit = True
        thread.join()


def asked(url: str, *paths: str) -> list[tuple[int, str]]:
    answers = [httpx.get(f"{url}{one}", headers=CALLER) for one in paths]  # uvicorn closes a connection after an error
    return [(one.status_code, one.text) for one in answers]


def tree(spans: Traced) -> list[Any]:
    """Names, parents, status and attributes of all spans that are not about waiting, as nested tuples."""
    known = {one.span_id: one for one in spans.spans}

    def parent(one: Span) -> str:
        found = known.get(one.parent_id)
        while found is not None and "whywait.kind" in found.attributes:
            found = known.get(found.parent_id)
        return found.name if found is not None else one.parent_id

    hosts = [one for one in spans.spans if "whywait.kind" not in one.attributes]
    return sorted(
        (one.trace_id, parent(one), one.name, one.kind, one.error, sorted(one.attributes.items())) for one in hosts
    )


@pytest.mark.skipif(find_spec("fastapi.telemetry") is None, reason="a FastAPI without telemetry of its own")
def test_they_are_the_spans_that_fastapi_makes(traced_to: Begin, tmp_path: Any) -> None:
    with served(app) as url:
        plain_answers = None
        found = []
        for stamps in (False, True):
            spans = traced_to(sampler=False)
            recorder = recorders.active
            assert recorder is not None
            if not stamps:
                recorder.makes_later = lambda: False
            answers = asked(url, *PATHS)
            plain_answers = plain_answers or answers
            assert answers == plain_answers
            time.sleep(0.05)  # the background task
            spans.stop()
            for path in (tmp_path / "traces").glob("*"):
                path.unlink()
            server = [one for one in spans.spans if one.kind == 2]
            assert {one.scope for one in server} == {"whywait" if stamps else "fastapi"}
            assert told["traceparent"][3:35] == "ab" * 16
            assert (told["seen"], told["tracestate"]) == ("you", "vendor=1")
            sent_by = [one.name for one in spans.spans if one.span_id == told["traceparent"][36:52]]
            assert sent_by == ["fastapi.endpoint"]
            found.append(tree(spans))
    assert found[0] == found[1]
    assert len(found[0]) > 20


def test_a_request_that_is_dropped_leaves_none(traced_to: Begin) -> None:
    with served(app) as url:
        spans = traced_to(sampler=False, keep=KEEP_SLOW, slow_ns=10**12, keep_share=0.0)
        asked(url, "/items/1", "/in-thread")
        asked(url, "/raises")
        time.sleep(0.05)
        spans.stop()
    kept = {one.trace_id for one in spans.spans if one.kind == 2}
    assert [one.name for one in spans.spans if one.kind == 2] == ["GET /raises"]
    assert {one.trace_id for one in spans.spans if one.scope == "service"} <= kept


@pytest.mark.skipif(find_spec("fastapi.telemetry") is None, reason="a FastAPI without telemetry of its own")
def test_a_service_with_a_meter_of_its_own_keeps_fastapi_s_telemetry(traced_to: Begin) -> None:
    with served(app) as url:
        spans = traced_to(sampler=False)
        metrics.set_meter_provider(MeterProvider(shutdown_on_exit=False))
        try:
            asked(url, "/in-thread")
        finally:
            sdk_internals.forget_meter_provider()
        spans.stop()
    assert [one.scope for one in spans.spans if one.kind == 2] == ["fastapi"]


def test_starlette_has_one_span_and_what_it_calls_is_below(traced_to: Begin) -> None:
    async def hello(_: Any) -> PlainTextResponse:
        with trace.get_tracer("service").start_as_current_span("of the service"):
            await asyncio.sleep(0.001)
        return PlainTextResponse("hello")

    with served(Starlette(routes=[Route("/hello/{name}", hello)])) as url:
        spans = traced_to(sampler=False)
        assert asked(url, "/hello/you") == [(200, "hello")]
        spans.stop()
    (server,) = [one for one in spans.spans if one.kind == 2]
    assert (server.name, server.parent_id) == ("GET /hello/{name}", "cd" * 8)
    assert spans.one("of the service").parent_id == server.span_id


@pytest.mark.parametrize("header", ["baggage", "tracestate", "traceparent"])
def test_what_a_client_sends_amiss_is_not_logged(
    traced_to: Begin, caplog: pytest.LogCaptureFixture, header: str
) -> None:
    """Any client could fill the service's log."""
    caplog.set_level("INFO", "opentelemetry")
    amiss = [b"\xff=1", b"x", b"=,;", b'a="', b"a=1," * 200, b"a=" + b"b" * 5_000]
    with served(app) as url:
        spans = traced_to(sampler=False)
        for one in amiss:
            headers = {name.encode(): value.encode() for name, value in CALLER.items()} | {header.encode(): one}
            assert httpx.get(f"{url}/in-thread", headers=headers).status_code == 200
        spans.stop()
    assert [one.getMessage()[:200] for one in caplog.records if one.name.startswith("opentelemetry")] == []
    assert sum(one.kind == 2 for one in spans.spans) == len(amiss)
