"""Each way in which a request gets its root: exactly one SERVER span, and our root task of the same length."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

import whywait
from tests.tracer.conftest import Traced
from whywait import analysis
from whywait.tracer.config import Config
from whywait.tracer.export import provider as providers
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.instrumentor import WhywaitInstrumentor

Begin = Callable[..., Traced]
SERVER = 2


def fastapi_app(**settings: Any) -> FastAPI:
    app = FastAPI(**settings)

    @app.get("/hello/{name}")
    async def hello(name: str) -> str:
        await asyncio.sleep(0.005)
        return name

    return app


def starlette_app() -> Starlette:
    async def hello(_: Any) -> PlainTextResponse:
        await asyncio.sleep(0.005)
        return PlainTextResponse("hello")

    return Starlette(routes=[Route("/hello/{name}", hello)])


async def ask(app: Any, path: str = "/hello/you") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        return await client.get(path)


def native() -> Any:
    return fastapi_app()


def instrumented() -> Any:
    app = fastapi_app()
    FastAPIInstrumentor.instrument_app(app)
    return app


def tracing_off() -> Any:
    return fastapi_app(telemetry={"tracing": False})


@pytest.mark.parametrize("make", [native, instrumented, tracing_off, starlette_app])
def test_one_server_span_and_one_root_below_it(traced_to: Begin, make: Callable[[], Any]) -> None:
    spans = traced_to()
    answer = asyncio.run(ask(make()))
    assert answer.status_code == 200
    spans.stop()
    (server,) = [span for span in spans.spans if span.kind == SERVER]
    (root,) = [span for span in spans.of_kind("task") if span["root"]]
    assert root.parent_id == server.span_id
    assert root.start_ns <= server.start_ns < (root.start_ns + root.end_ns) / 2, "the handler takes most of it"
    assert root.end_ns == server.end_ns
    assert root["contract"] == 1
    assert {"thread_cpu", "loop", "executor"} <= set(root["signals"])
    (wait,) = [span for span in spans.of_kind("wait") if span["wait"] == "await" and span.ms > 3]
    assert wait["waker"] == "timer"


def test_a_service_that_asks_itself_is_one_request(traced_to: Begin) -> None:
    app = fastapi_app()

    @app.get("/outer")
    async def outer() -> str:
        return (await ask(app)).json()

    spans = traced_to()
    assert asyncio.run(ask(app, "/outer")).json() == "you"
    spans.stop()
    assert len([span for span in spans.of_kind("task") if span["root"]]) == 1


def test_a_scope_that_says_less_than_a_servers_is_a_request_too(traced_to: Begin) -> None:
    """As tests of a service, and servers of a cloud, make them."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Any, _: Any, send: Any) -> None:
        await asyncio.sleep(0.005)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    whole, receive = Starlette(routes=[Mount("/", app)]), asyncio.Queue[Any]().get
    spans = traced_to()
    for scope in ({"method": "GET", "path": "/hello"}, {"method": "GET", "path": "/hello", "headers": None}):
        asyncio.run(whole({"type": "http", **scope}, receive, send))
    spans.stop()
    assert [one.get("status") for one in sent] == [200, None] * 2
    assert [span.name for span in spans.spans if span.kind == SERVER] == ["GET /hello"] * 2


def test_requests_do_not_mix(traced_to: Begin) -> None:
    async def main(app: Any) -> None:
        await asyncio.gather(*(ask(app, f"/hello/{number}") for number in range(20)))

    spans = traced_to()
    asyncio.run(main(fastapi_app()))
    spans.stop()
    roots = [span for span in spans.of_kind("task") if span["root"]]
    assert len({root.trace_id for root in roots}) == len(roots) == 20
    for root in roots:
        waits = [span for span in spans.of_kind("wait") if span.trace_id == root.trace_id and span["wait"] == "await"]
        assert len([span for span in waits if span["waker"] == "timer"]) == 1


def test_an_unsampled_request_is_not_recorded() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        whywait.start()
        asyncio.run(ask(fastapi_app()))
        whywait.stop()
        assert exporter.get_finished_spans() == ()
    finally:
        whywait.stop()
        provider.shutdown()
        providers.release()


def test_the_hosts_own_provider_is_used_and_left_as_it_was() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        before = provider._active_span_processor._span_processors
        WhywaitInstrumentor().instrument()
        asyncio.run(ask(fastapi_app()))
        WhywaitInstrumentor().uninstrument()
        assert provider._active_span_processor._span_processors == before
        names = {span.name for span in exporter.get_finished_spans()}
        assert "GET /hello/{name}" in names
        assert any(name.startswith("task ") for name in names)
        provider.get_tracer("host").start_span("still works").end()
        assert "still works" in {span.name for span in exporter.get_finished_spans()}
    finally:
        whywait.stop()
        provider.shutdown()
        providers.release()


def test_a_host_that_sends_each_span_as_it_ends_hears_of_requests_only_where_there_is_an_output(tmp_path: Path) -> None:
    simple, batched = InMemorySpanExporter(), InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(simple))
    provider.add_span_processor(BatchSpanProcessor(batched))
    trace.set_tracer_provider(provider)
    try:
        whywait.start(output=tmp_path)
        asyncio.run(ask(fastapi_app()))
        whywait.stop()
        provider.force_flush()
        everywhere, there = ({span.name for span in one.get_finished_spans()} for one in (batched, simple))
        assert "GET /hello/{name}" in there
        assert any(name.startswith("task ") for name in everywhere)
        assert not any(name.startswith("task ") for name in there)
        assert '"task ' in "".join(path.read_text() for path in tmp_path.glob("*.jsonl"))
    finally:
        whywait.stop()
        provider.shutdown()
        providers.release()


def test_nothing_of_a_request_but_its_shape_is_recorded(traced_to: Begin) -> None:
    app = FastAPI()

    @app.post("/login")
    async def login(body: dict[str, str]) -> str:
        await asyncio.sleep(0.002)
        return body["password"]

    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            await client.post("/login", json={"password": "hunter2"}, headers={"authorization": "Bearer s3cret"})

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    ours = [span for span in spans.spans if span.scope == "whywait"]
    assert ours
    for secret in ("hunter2", "s3cret"):
        assert secret not in repr(spans.spans)


def test_too_many_records_mark_the_trace(traced_to: Begin) -> None:
    spans = traced_to(max_records_per_request=3)
    asyncio.run(ask(fastapi_app()))
    spans.stop()
    (root,) = [span for span in spans.of_kind("task") if span["root"]]
    assert root["incomplete"] is None or "dropped" in root["incomplete"][0]

    async def many() -> None:
        with whywait.phase("root"):
            for _ in range(10):
                await asyncio.sleep(0)

    more = traced_to(max_records_per_request=3)
    asyncio.run(many())
    more.stop()
    _, root = [span for span in more.of_kind("task") if span["root"]]
    assert "dropped" in root["incomplete"][0]


def test_requests_beyond_what_may_wait_are_dropped_and_counted(tmp_path: Any) -> None:
    from whywait.tracer.hotpath import recorder

    whywait.start(config=Config(output=tmp_path, max_pending_requests=2, export_interval_s=60))
    for _ in range(5):
        with whywait.phase("work"):
            pass
    assert recorder.active is not None
    assert recorder.active.lost["request"] == 3
    whywait.stop()


def test_a_probe_that_fails_is_removed_and_the_host_goes_on(
    traced_to: Begin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        """A map of executors; each core reads it in its own way."""

        @property
        def get(self) -> Any:
            raise RuntimeError("our own mistake")

        _known = get

    spans = traced_to()
    monkeypatch.setattr(recorders.active, "pools", Broken())

    async def main() -> list[int]:
        with whywait.phase("root"):
            return [await asyncio.to_thread(int, "3") for _ in range(2)]

    assert asyncio.run(main()) == [3, 3]
    spans.stop()
    assert [record.message for record in caplog.records if "executor" in record.message] == [
        "whywait removed its executor probe after an error: RuntimeError('our own mistake')"
    ]


def test_no_span_of_the_root_ends_after_it(traced_to: Begin) -> None:
    """Two clocks are read one after the other; Jaeger would take the difference for skewed clocks."""
    spans = traced_to()
    app = FastAPI()

    @app.get("/busy")
    async def busy() -> str:
        with whywait.phase("busy"):
            deadline = time.perf_counter() + 0.02
            while time.perf_counter() < deadline:
                pass
        return "done"

    for _ in range(20):
        asyncio.run(ask(app, "/busy"))
    spans.stop()
    roots = {span.span_id: span for span in spans.of_kind("task") if span["root"]}
    own = [span for span in spans.spans if span.parent_id in roots]
    assert len([span for span in own if span["kind"] == "block"]) >= 20
    assert all(span.end_ns <= roots[span.parent_id].end_ns for span in own)


def test_a_streamed_response_waited_for_what_its_parts_waited_for(traced_to: Begin) -> None:
    """Its SERVER span ends in the task that sends the last part, while the request's own still waits for that."""
    app = fastapi_app()

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.02)
            yield b"part"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(parts())

    spans = traced_to()
    assert asyncio.run(ask(app, "/stream")).text == "part" * 3
    spans.stop()
    causes = analysis.analyze(spans.output).causes.groupby("cause")["amount_ns"].sum() / 1e6
    assert causes["await_io"] > 50


def test_who_held_a_turn_for_another_request_is_named_by_the_line_that_gave_it_back(traced_to: Begin) -> None:
    app, turn = fastapi_app(), asyncio.Semaphore(1)

    @app.get("/hold")
    async def hold() -> None:
        async with turn:
            await asyncio.sleep(0.06)

    @app.get("/take")
    async def take() -> None:
        await asyncio.sleep(0.01)
        async with turn:
            pass

    async def main() -> None:
        await asyncio.gather(ask(app, "/hold"), ask(app, "/take"))

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    found = analysis.analyze(spans.output).culprits
    (culprit,) = found[found["cause"] == "limiter_wait"].to_dict("records")
    assert culprit["endpoint"] == "GET /take"
    assert culprit["culprit"].endswith("<locals>.hold")
    assert culprit["culprit_file"] == __file__
    assert culprit["culprit_line"] > 0
    servers = spans.named("GET /hold")
    assert culprit["culprit_trace_id"] == servers[0].trace_id != culprit["trace_id"]
