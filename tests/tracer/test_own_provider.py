"""Spans of our provider are the SDK's, whatever is done with them; and it is the SDK that makes what is special."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer, TraceState

import tracer
from tracer import own_provider
from tracer.config import Config
from tracer.own_provider import OwnProvider

REMOTE = SpanContext(7, 8, True, TraceFlags(1), TraceState([("vendor", "1")]))
UNSAMPLED = SpanContext(7, 8, True, TraceFlags(0))


def below(parent: SpanContext) -> Any:
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))


def raising(tracer: Tracer, error: BaseException, **settings: Any) -> None:
    with pytest.raises(type(error)), tracer.start_as_current_span("raises", **settings):
        raise error


def everything(tracer: Tracer) -> None:
    with tracer.start_as_current_span(
        "outer", attributes={"a": 1, "b": ["x"], "": 2}, kind=SpanKind.SERVER
    ) as outer:
        assert trace.get_current_span() is outer
        outer.set_attribute("c", True)
        outer.set_attributes({"a": 2})
        outer.add_event("event", {"k": "v"}, timestamp=5)
        outer.add_link(REMOTE, {"why": "because"})
        outer.update_name("renamed")
        outer.set_status(StatusCode.OK)
        with tracer.start_as_current_span("inner"):
            tracer.start_span("innermost", start_time=3).end(9)
    assert trace.get_current_span() is trace.INVALID_SPAN
    tracer.start_span("of a remote parent", below(REMOTE), SpanKind.CLIENT).end()
    tracer.start_span("unsampled", below(UNSAMPLED)).end()
    tracer.start_span("with links", links=[Link(REMOTE)]).end()
    with tracer.start_as_current_span("left open", end_on_exit=False) as span:
        pass
    assert span.is_recording()
    span.end()
    assert not span.is_recording()
    raising(tracer, ValueError("no"))
    raising(tracer, ValueError("no"), record_exception=False)
    raising(tracer, ValueError("no"), set_status_on_exception=False)
    raising(tracer, KeyboardInterrupt())

    @tracer.start_as_current_span("decorated")
    def function() -> int:
        return 1

    @tracer.start_as_current_span("a coroutine's")
    async def coroutine() -> int:
        await asyncio.sleep(0)
        return 2

    assert (function(), function(), asyncio.run(coroutine())) == (1, 1, 2)


def spans_of(provider: TracerProvider, work: Callable[[Tracer], None]) -> list[Any]:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    work(provider.get_tracer("theirs", "1", "https://schema", {"scope": 1}))
    numbers: dict[str, int] = {}
    found = []
    for span in exporter.get_finished_spans():
        told = json.loads(span.to_json())
        for ids in (told["context"], told):
            for key in ("trace_id", "span_id", "parent_id"):
                if isinstance(ids.get(key), str):
                    ids[key] = numbers.setdefault(ids[key], len(numbers))
        assert span.context is not None
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.end_time >= span.start_time
        if span.start_time > 100:
            told["start_time"] = told["end_time"] = ""
        for event in told["events"]:
            if event["name"] == "exception":
                event["timestamp"] = ""
                event["attributes"].pop("exception.stacktrace")
        told["flags"], told["scope"] = int(span.context.trace_flags), repr(span.instrumentation_scope)
        told["dropped"] = (span.dropped_attributes, span.dropped_events, span.dropped_links)
        found.append(told)
    return found


def test_they_are_the_sdks_whatever_is_done_with_them() -> None:
    resource = Resource({"service.name": "s"})
    ours = spans_of(OwnProvider(resource=resource, shutdown_on_exit=False), everything)
    theirs = spans_of(TracerProvider(resource=resource, shutdown_on_exit=False), everything)
    assert ours == theirs
    assert len(ours) > 10


def test_what_an_ended_span_is_told_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    def work(tracer: Tracer) -> None:
        span = tracer.start_span("ended")
        span.end()
        span.add_event("late")
        span.add_link(REMOTE)
        span.set_attribute("late", 1)
        span.end()

    ours = spans_of(OwnProvider(shutdown_on_exit=False), work)
    said = [record.message for record in caplog.records]
    caplog.clear()
    assert ours[0]["events"] == []
    theirs = spans_of(TracerProvider(shutdown_on_exit=False), work)
    assert [record.message for record in caplog.records] == said
    assert ours[0]["links"] == theirs[0]["links"] == []


def test_many_threads_put_events_into_one_span() -> None:
    def work(tracer: Tracer) -> None:
        with tracer.start_as_current_span("busy") as span:
            threads = [
                threading.Thread(target=lambda: [span.add_event("e") for _ in range(10)]) for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    (span,) = spans_of(OwnProvider(shutdown_on_exit=False), work)
    assert len(span["events"]) == 80


def test_a_special_tracer_is_the_sdks_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(OwnProvider(shutdown_on_exit=False).get_tracer("a")) is own_provider._Tracer
    sampled = OwnProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    assert type(sampled.get_tracer("a")) is not own_provider._Tracer
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    assert (
        type(OwnProvider(sampler=DEFAULT_ON, shutdown_on_exit=False).get_tracer("a"))
        is not own_provider._Tracer
    )


def test_an_sdk_whose_spans_are_made_otherwise_makes_them_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(own_provider._SdkSpan):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._news = 1

    monkeypatch.setattr(own_provider, "_SdkSpan", Later)
    own_provider._spans_are_as_known.cache_clear()
    try:
        assert type(OwnProvider(shutdown_on_exit=False).get_tracer("a")) is not own_provider._Tracer
    finally:
        own_provider._spans_are_as_known.cache_clear()


def test_the_hosts_spans_are_recording_spans_of_the_sdk() -> None:
    tracer.start("test", config=Config(sampler=False))
    try:
        with trace.get_tracer("theirs").start_as_current_span("span") as span:
            assert isinstance(span, Span)
            assert type(span).__name__ == "_Span"
    finally:
        tracer.stop()
