"""Sets a tool up within the service, as its documentation says for production, with every option that tells more.

What the tool puts out is kept in memory and written when the process ends: its own cost is the tool's, not the disk's.
"""

import atexit
import functools
import json
import os
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

Keep = Callable[[Callable[[], Any]], None]
"""Takes what makes one JSON value; it is called when the process ends."""
SLOW_CALLBACK_S: Final = 0.02
"""Logfire's own default is 0.1: too long for these programs."""


def begin() -> None:
    """Called when the interpreter starts; the environment says which tool."""
    if tool := _TOOLS.get(os.environ.get("STREET_PEER", "")):
        made: list[Callable[[], Any]] = []
        atexit.register(_write, Path(os.environ["STREET_PEER_OUT"]) / f"{os.getpid()}.jsonl", made)
        tool(made.append)


def _write(path: Path, made: list[Callable[[], Any]]) -> None:
    with open(path, "w") as file:
        for one in made:
            json.dump(one(), file, default=str)
            file.write("\n")


def _pyinstrument(keep: Keep) -> None:
    """A profiler per request in a middleware around the whole application, as its guide shows for FastAPI."""
    from aiohttp import web
    from pyinstrument import Profiler
    from starlette.applications import Starlette

    def ended(profiler: Profiler, endpoint: str) -> None:
        session = profiler.stop()
        keep(lambda: {"endpoint": endpoint, "profile": _rendered(session)})

    @functools.wraps(Starlette.__call__)
    async def call(self: Starlette, scope: Any, receive: Any, send: Any, was: Any = Starlette.__call__) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await was(self, scope, receive, send)
        (profiler := Profiler(async_mode="enabled")).start()
        try:
            await was(self, scope, receive, send)
        finally:
            ended(profiler, f"{scope.get('method', 'WS')} {scope['path']}")

    @functools.wraps(web.Application._handle)
    async def handle(self: web.Application, request: Any, was: Any = web.Application._handle) -> Any:
        (profiler := Profiler(async_mode="enabled")).start()
        try:
            return await was(self, request)
        finally:
            ended(profiler, f"{request.method} {request.path}")

    Starlette.__call__ = call  # type: ignore[method-assign]
    web.Application._handle = handle  # type: ignore[method-assign]


def _rendered(session: Any) -> Any:
    from pyinstrument.renderers import JSONRenderer

    return json.loads(JSONRenderer(show_all=True).render(session))


def _sentry(keep: Keep) -> None:
    import sentry_sdk
    from sentry_sdk.envelope import Envelope
    from sentry_sdk.integrations.asyncio import enable_asyncio_integration
    from sentry_sdk.transport import Transport
    from starlette.applications import Starlette

    class Sink(Transport):
        def capture_envelope(self, envelope: Envelope) -> None:
            for one in envelope.items:
                keep(functools.partial(_item, one))

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1", transport=Sink, traces_sample_rate=1.0, profiles_sample_rate=1.0,
        db_query_source_threshold_ms=0, http_request_source_threshold_ms=0, auto_session_tracking=False,
        project_root=os.getcwd(),
    )  # fmt: skip

    @functools.wraps(Starlette.__call__)
    async def call(self: Starlette, scope: Any, receive: Any, send: Any, was: Any = Starlette.__call__) -> None:
        if scope["type"] == "lifespan":  # the loop runs: only now can this integration begin
            enable_asyncio_integration()
        await was(self, scope, receive, send)

    Starlette.__call__ = call  # type: ignore[method-assign]


def _item(item: Any) -> Any:
    return {"type": item.type, "event": item.payload.json}


def _opentelemetry(keep: Keep) -> None:
    """All instrumentations that are installed, as opentelemetry-instrument takes them, but whywait's own."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider()
    provider.add_span_processor(_collector(keep))
    trace.set_tracer_provider(provider)
    for one in entry_points(group="opentelemetry_instrumentor"):
        if one.name != "whywait":
            one.load()().instrument(skip_dep_check=True)


def _logfire(keep: Keep) -> None:
    """With automatic tracing of the program's functions and warnings of callbacks that block the loop."""
    import logfire
    from fastapi import FastAPI
    from starlette.applications import Starlette

    logfire.configure(
        send_to_logfire=False, console=False, inspect_arguments=False, additional_span_processors=[_collector(keep)]
    )
    logfire.install_auto_tracing([os.environ["STREET_PEER_PROGRAM"]], min_duration=0)
    logfire.log_slow_async_callbacks(SLOW_CALLBACK_S)
    for library in (
        "httpx",
        "asyncpg",
        "psycopg",
        "redis",
        "sqlalchemy",
        "requests",
        "aiohttp_client",
        "aiohttp_server",
    ):
        getattr(logfire, f"instrument_{library}")()

    @functools.wraps(Starlette.__init__)
    def made(self: Starlette, *args: Any, was: Any = Starlette.__init__, **named: Any) -> None:
        was(self, *args, **named)
        if not isinstance(self, FastAPI):
            logfire.instrument_starlette(self)

    @functools.wraps(FastAPI.__init__)
    def made_fast(self: FastAPI, *args: Any, was: Any = FastAPI.__init__, **named: Any) -> None:
        was(self, *args, **named)
        logfire.instrument_fastapi(self, record_send_receive=True, extra_spans=True)

    Starlette.__init__ = made  # type: ignore[method-assign]
    FastAPI.__init__ = made_fast  # type: ignore[method-assign]


def _collector(keep: Keep) -> Any:
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

    class Collector(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            if span.start_time is not None:  # Logfire's pending spans come by another way
                keep(lambda: _span(span))

    return Collector()


def _span(span: Any) -> dict[str, Any]:
    return {
        "name": span.name, "id": f"{span.context.span_id:x}", "begin_ns": span.start_time, "end_ns": span.end_time,
        "parent": f"{span.parent.span_id:x}" if span.parent else "", "attributes": dict(span.attributes or {}),
    }  # fmt: skip


def _ddtrace(keep: Keep) -> None:
    """ddtrace-run has begun tracer and profiler; the profiler writes its files by itself."""
    from ddtrace.trace import TraceFilter, tracer

    class Sink(TraceFilter):
        def process_trace(self, trace: Sequence[Any]) -> None:
            for span in trace:
                keep(functools.partial(_datadog_span, span))

    tracer.configure(trace_processors=[Sink()])


def _datadog_span(span: Any) -> dict[str, Any]:
    tags = {name: span.get_tag(name) for name in ("http.route", "http.url", "db.statement", "sql.query")}
    return {
        "name": span.name, "id": str(span.span_id), "begin_ns": span.start_ns,
        "end_ns": span.start_ns + (span.duration_ns or 0), "parent": str(span.parent_id or ""),
        "attributes": {"resource": span.resource, **{name: tag for name, tag in tags.items() if tag}},
    }  # fmt: skip


_TOOLS: Final = {
    "pyinstrument": _pyinstrument, "sentry": _sentry, "opentelemetry": _opentelemetry, "logfire": _logfire,
    "ddtrace": _ddtrace,
}  # fmt: skip
