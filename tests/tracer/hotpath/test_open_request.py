"""A request that its server's or worker's task opens: its window, the wait before its first step, and its span."""

import asyncio
import gc
import time
import weakref
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any

import pytest
from opentelemetry import trace

from tests.tracer.conftest import Traced
from whywait.tracer.hotpath.opening.open_request import Arrival, end_request, open_request
from whywait.tracer.records.request import Activity, OwnSpan, Request

Begin = Callable[..., Traced]
SERVER, CONSUMER = 2, 5
CALLER = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"


def block_for_20_ms() -> None:
    time.sleep(0.02)


async def job_behind(blocker: Callable[[], None], body: Callable[[], Any], **settings: Any) -> int:
    """A job that arrives, and whose task begins only after `blocker`; return its arrival."""
    loop = asyncio.get_running_loop()
    arrived_ns = 0

    async def work() -> None:
        request = open_request(Arrival(arrived_ns, "kernel"), **settings)
        assert request is not None
        assert open_request(Arrival(arrived_ns, "kernel")) is None, "one inside another is part of it"
        body()
        await asyncio.sleep(0.005)
        end_request(request, "GET /secret/4f2a91bc77", "503", {"http.request.method": "GET"})
        await asyncio.sleep(0.01)  # after the response

    await asyncio.sleep(0.001)
    loop.call_soon(blocker)
    arrived_ns = perf_counter_ns()
    await asyncio.create_task(work())
    return arrived_ns


def test_a_job_has_a_window_a_span_and_the_wait_before_its_first_step(traced_to: Begin) -> None:
    spans = traced_to()
    asyncio.run(job_behind(block_for_20_ms, lambda: None, kind="consumer", traceparent=CALLER))
    spans.stop()
    (root,) = [one for one in spans.of_kind("task") if one["root"]]
    own = spans.one("GET /secret/[redacted]")
    assert (own.kind, own.trace_id, own.parent_id, own.error) == (CONSUMER, "ab" * 16, "cd" * 8, True)
    assert own.attributes["http.request.method"] == "GET"
    assert (root.parent_id, root.trace_id, root["ingress.from"]) == (own.span_id, own.trace_id, "kernel")
    assert root.start_ns < own.start_ns < own.end_ns == root.end_ns
    busy = spans.one("loop busy: block_for_20_ms")
    assert busy.ms == pytest.approx((own.start_ns - root.start_ns) / 1e6, abs=1.5)
    assert busy["activity"] == root.span_id
    assert busy["blocker.file"].endswith("test_open_request.py")


def test_a_server_span_that_starts_inside_is_the_requests_own(traced_to: Begin) -> None:
    spans = traced_to()

    def serve() -> None:
        with trace.get_tracer("framework").start_as_current_span("GET /x", kind=trace.SpanKind.SERVER):
            pass

    asyncio.run(job_behind(lambda: None, serve))
    spans.stop()
    (server,) = [one for one in spans.spans if one.kind == SERVER]
    (root,) = [one for one in spans.of_kind("task") if one["root"]]
    assert (root.parent_id, root.trace_id, server.scope) == (server.span_id, server.trace_id, "framework")
    assert root.start_ns < server.start_ns
    assert server.end_ns < root.end_ns


def test_an_unsampled_caller_has_no_spans(traced_to: Begin) -> None:
    spans = traced_to()
    asyncio.run(job_behind(lambda: None, lambda: None, traceparent=CALLER[:-1] + "0"))
    spans.stop()
    assert spans.spans == []


@pytest.mark.parametrize("kept", [True, False])
def test_what_the_host_knows_of_a_request_lives_no_longer(kept: bool) -> None:
    class Scope(dict[str, str]):
        pass

    request, scope = Request(1, 2, 1, 0, 10), Scope(path="/a")
    seen, root = weakref.ref(scope), request.root  # another request may wait for it, and keep it
    own = request.own_span = OwnSpan("server", 0, 0)
    own.describe = partial(dict, scope)
    if kept:
        own.settle()
        assert own.attributes == {"path": "/a"}
    else:
        request.release()
    del scope
    gc.collect()
    assert seen() is None
    assert root.request.own_span is (own if kept else None)


def test_a_released_request_needs_no_garbage_collection() -> None:
    """A loop's past refers to requests for long: what goes with each must go at once, and its name and code must stay."""
    request = Request(1, 2, 1, 0, 10)
    request.root.code = test_a_released_request_needs_no_garbage_collection.__code__
    before = sum(type(one) in (Request, Activity) for one in gc.get_objects())
    gc.disable()
    try:
        request.release()
        assert request.answers is test_a_released_request_needs_no_garbage_collection.__code__
        del request
        assert sum(type(one) in (Request, Activity) for one in gc.get_objects()) == before - 2
    finally:
        gc.enable()
