"""Work that others marked by a span of their own is a request too: SERVER, CONSUMER, and INTERNAL without a parent."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind

import whywait
from tests.tracer.conftest import Span, Traced
from whywait import analysis
from whywait.tracer.hotpath import recorder

Begin = Callable[..., Traced]


def span(name: str, kind: SpanKind = SpanKind.INTERNAL) -> Any:
    return trace.get_tracer("app").start_as_current_span(name, kind=kind)


def roots_of(spans: Traced) -> list[Span]:
    return [one for one in spans.of_kind("task") if one["root"]]


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER, SpanKind.INTERNAL])
def test_a_root_span_is_a_request_of_its_name_and_length(traced_to: Begin, kind: SpanKind) -> None:
    async def work() -> None:
        with span("work", kind), span("inner"):
            await asyncio.gather(asyncio.sleep(0.02), asyncio.to_thread(time.sleep, 0.03))

    spans = traced_to()
    asyncio.run(work())
    spans.stop()
    theirs, (root,) = spans.one("work"), roots_of(spans)
    assert root.parent_id == theirs.span_id
    assert (root.start_ns, root.end_ns) == (theirs.start_ns, theirs.end_ns)
    found = analysis.analyze(spans.output)
    assert list(found.requests["endpoint"]) == ["work"]
    assert list(found.requests["wall_ns"]) == [theirs.end_ns - theirs.start_ns]
    amounts = found.causes.groupby("cause")["amount_ns"].sum()
    assert amounts.sum() == theirs.end_ns - theirs.start_ns
    assert amounts["blocking_io"] >= 29e6


def test_a_thread_without_a_loop_has_requests_too(traced_to: Begin) -> None:
    def work() -> None:
        with span("work", SpanKind.CONSUMER):
            time.sleep(0.02)
            deadline = time.thread_time() + 0.02
            while time.thread_time() < deadline:
                pass

    spans = traced_to()
    work()
    spans.stop()
    amounts = analysis.analyze(spans.output).causes.groupby("cause")["amount_ns"].sum() / 1e6
    assert amounts["blocking_io"] >= 19.9
    assert amounts["compute"] >= 19
    assert amounts.sum() - amounts.get("unexplained", 0) >= 39


def test_the_span_of_a_whole_program_gives_way_to_the_requests_inside_it(traced_to: Begin) -> None:
    async def request(number: int) -> None:
        with span(f"request {number}", SpanKind.SERVER):
            await asyncio.sleep(0.005)

    async def main() -> None:
        with span("program"):
            await asyncio.gather(*(request(number) for number in range(3)))
            await asyncio.sleep(0.005)

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    assert {one.span_id for one in spans.spans if one.name.startswith("request")} == {
        one.parent_id for one in roots_of(spans)
    }
    assert sorted(analysis.analyze(spans.output).requests["endpoint"]) == ["request 0", "request 1", "request 2"]
    assert spans.one("program")


def test_inside_a_request_no_other_begins(traced_to: Begin) -> None:
    def in_thread() -> None:
        with span("thread", SpanKind.CONSUMER):  # without a parent: a thread inherits no context
            time.sleep(0.001)

    async def main() -> None:
        with span("request", SpanKind.SERVER):
            with span("message", SpanKind.CONSUMER):
                await asyncio.get_running_loop().run_in_executor(None, in_thread)
            no_parent = trace.set_span_in_context(trace.INVALID_SPAN)
            trace.get_tracer("app").start_span("detached", no_parent).end()

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    (root,) = roots_of(spans)
    assert root.parent_id == spans.one("request").span_id


def test_spans_that_never_end_are_forgotten(traced_to: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_MOST_INTERNAL", 3)

    async def begin() -> Any:
        return trace.get_tracer("app").start_span("begun")

    spans = traced_to()
    begun = [asyncio.run(begin()) for _ in range(5)]
    assert recorder.active is not None
    assert len(recorder.active.open) == 3
    for one in begun:
        one.end()
    with whywait.phase("goes on"):
        pass
    spans.stop()
    assert len(roots_of(spans)) == 4
