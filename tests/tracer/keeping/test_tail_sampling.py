"""What becomes spans is decided once a request has ended: the whole of it, or nothing of it."""

import asyncio
import functools
import gzip
import itertools
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException
from opentelemetry import metrics, trace
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import whywait
from tests.tracer.conftest import Traced
from whywait.tracer.config import KEEP_SLOW, MS_NS, Config, ConfigError, from_environment
from whywait.tracer.export import provider as providers
from whywait.tracer.hotpath import recorder
from whywait.tracer.keeping.request_totals import OTHERS, Totals
from whywait.tracer.keeping.tail_sampling import FEWEST, EvenDraws, Keeper, Quantile
from whywait.tracer.records.decision import WHY_ERROR, WHY_NEW, WHY_SHARE, WHY_SLOW
from whywait.tracer.schema import KIND_BLOCK

ROOT = Path(__file__).resolve().parents[3]
Begin = Callable[..., Traced]
BOUND_MS = 400  # no fast one takes so long, though the machine be crowded
SLOW_S = 2 * BOUND_MS / 1000


def traces_of_requests(spans: Traced) -> set[str]:
    # a crowded machine may block the loop between requests, which is a trace of its own
    return {span.trace_id for span in spans.spans if span.parent_id or span["kind"] != KIND_BLOCK}


def app_of() -> FastAPI:
    app = FastAPI()

    @app.get("/work/{seconds}")
    async def work(seconds: float) -> str:
        with trace.get_tracer("theirs").start_as_current_span("their own span"):
            await asyncio.gather(asyncio.to_thread(int), asyncio.sleep(seconds))
        return "done"

    @app.get("/fails")
    async def fails() -> str:
        raise HTTPException(503)

    @app.get("/later")
    async def later(tasks: BackgroundTasks) -> str:
        tasks.add_task(afterwards)
        return "done"

    async def afterwards() -> None:
        with trace.get_tracer("theirs").start_as_current_span("afterwards"):
            await asyncio.sleep(0.01)

    return app


def ask(*paths: str, headers: dict[str, str] | None = None, at_once: bool = False) -> None:
    async def main() -> None:
        transport = httpx.ASGITransport(app=app_of())
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            if at_once:
                await asyncio.gather(*(client.get(path) for path in paths))
            else:
                for path in paths:
                    await client.get(path)
            await asyncio.sleep(0.05)  # what runs after the response

    asyncio.run(main())


def roots(spans: Traced) -> list[Any]:
    return [span for span in spans.of_kind("task") if span["root"]]


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """The first request of a process imports much, and so is slow."""
    ask("/later")


def test_only_slow_requests_are_kept_and_they_are_whole(traced_to: Begin) -> None:
    spans = traced_to(keep=KEEP_SLOW, slow_ns=BOUND_MS * MS_NS, keep_share=0.0)
    ask("/work/0", f"/work/{SLOW_S}", "/work/0", "/later")
    active = recorder.active
    assert active is not None
    assert active.gates is not None
    assert not active.gates._held
    spans.stop()
    (root,) = roots(spans)
    assert (root["kept"], root["weight"]) == ("slow", 1.0)
    assert traces_of_requests(spans) == {root.trace_id}
    assert {"GET /work/{seconds}", "their own span", "job int"} <= {span.name for span in spans.spans}
    (server,) = [span for span in spans.spans if span.kind == 2]
    assert server.ms >= SLOW_S * 1000


def test_errors_are_kept_and_all_of_the_share_stand_for_their_number(traced_to: Begin) -> None:
    spans = traced_to(keep=KEEP_SLOW, slow_ns=10_000 * MS_NS, keep_share=0.5, keep_per_s=0)
    ask("/fails", *["/work/0"] * 40)
    spans.stop()
    by_why: dict[str, list[float]] = {}
    for root in roots(spans):
        by_why.setdefault(root["kept"], []).append(root["weight"])
    assert by_why["error"] == [1.0]
    assert set(by_why["share"]) == {2.0}
    assert len(by_why["share"]) in (20, 21)  # one of each two


def test_what_is_slow_is_learnt_per_endpoint(traced_to: Begin) -> None:
    spans = traced_to(keep=KEEP_SLOW, keep_share=0.0, slow_quantile=0.9)
    ask(*["/work/0"] * (FEWEST + 20), f"/work/{SLOW_S}")
    spans.stop()
    found = [root["kept"] for root in roots(spans)]
    assert found[:FEWEST] == ["new"] * FEWEST
    assert found[-1] == "slow"
    slowest = max((span for span in spans.spans if span.kind == 2), key=lambda span: span.ms)
    assert slowest.ms >= SLOW_S * 1000
    assert len(found) < FEWEST + 21


@pytest.mark.skipif(find_spec("fastapi.telemetry") is None, reason="a FastAPI without telemetry of its own")
def test_a_trace_of_which_one_request_is_kept_is_kept_whole(traced_to: Begin) -> None:
    spans = traced_to(keep=KEEP_SLOW, slow_ns=BOUND_MS * MS_NS, keep_share=0.0)
    parent = {"traceparent": f"00-{7:032x}-{7:016x}-01"}
    ask(f"/work/{SLOW_S}", "/work/0", headers=parent, at_once=True)
    spans.stop()
    assert traces_of_requests(spans) == {f"{7:032x}"}
    assert len([span for span in spans.spans if span.kind == 2]) == 2
    assert len(roots(spans)) == 1


def test_work_that_a_mark_began_is_judged_alike(traced_to: Begin) -> None:
    import time

    spans = traced_to(keep=KEEP_SLOW, slow_ns=BOUND_MS * MS_NS, keep_share=0.0)
    for seconds in (0.0, SLOW_S):
        with whywait.phase(f"work {seconds}"):
            time.sleep(seconds)
    with pytest.raises(ValueError, match="no"), whywait.phase("failed"):
        raise ValueError("no")
    spans.stop()
    assert {span.name for span in spans.of_kind("phase")} == {f"work {SLOW_S}", "failed"}


@pytest.mark.skipif(find_spec("fastapi.telemetry") is None, reason="a FastAPI without telemetry of its own")
def test_what_the_host_exports_by_itself_is_not_held_back(tmp_path: Any) -> None:
    exporter = InMemorySpanExporter()
    theirs = TracerProvider()
    theirs.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(theirs)
    try:
        whywait.start(output=tmp_path, config=Config(keep=KEEP_SLOW, slow_ns=10_000 * MS_NS, keep_share=0.0))
        ask("/work/0")
        assert "their own span" in {span.name for span in exporter.get_finished_spans()}
        whywait.stop()
        assert not [span for span in exporter.get_finished_spans() if span.instrumentation_scope.name == "whywait"]
    finally:
        whywait.stop()
        providers.release()
    assert not any(path.read_text() for path in tmp_path.glob("*.jsonl"))


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    from whywait.tracer.export import metrics as ours

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    metrics._internal._METER_PROVIDER = provider
    monkeypatch.setattr(ours, "_make_once", functools.cache(ours._make_once.__wrapped__))
    yield reader
    provider.shutdown()
    metrics._internal._METER_PROVIDER = None


def points(reader: InMemoryMetricReader) -> dict[str, dict[tuple[Any, ...], float]]:
    data = reader.get_metrics_data()
    found: dict[str, dict[tuple[Any, ...], float]] = {}
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics if scope.scope.name == "whywait" else ():
                found[metric.name] = {
                    tuple(sorted(point.attributes.items())): point.value for point in metric.data.data_points
                }
    return found


def test_every_request_is_counted_kept_or_not(traced_to: Begin, reader: InMemoryMetricReader) -> None:
    spans = traced_to(keep=KEEP_SLOW, slow_ns=BOUND_MS * MS_NS, keep_share=0.0)
    ask(*["/work/0"] * 5, f"/work/{SLOW_S}")
    found = points(reader)
    endpoint = ("endpoint", "GET /work/{seconds}")
    assert found["whywait.requests"] == {(endpoint, ("kept", "no")): 5, (endpoint, ("kept", "slow")): 1}
    assert found["whywait.requests.duration"][(endpoint,)] >= SLOW_S
    assert found["whywait.requests.open"] == {(): 0}
    spans.stop()
    assert not points(reader).get("whywait.requests")


def test_labels_are_bounded() -> None:
    totals = Totals()
    for number in range(2_000):
        totals.add(f"GET /{number}", 1, "")
    assert len(totals.endpoints) <= 501
    assert totals.endpoints[OTHERS].by_decision[""] >= 1_499


def test_a_quantile_of_a_stream_is_near_the_true_one() -> None:
    draw = Random(3)
    for fraction in (0.5, 0.95, 0.99):
        quantile = Quantile(fraction)
        lengths = [int(draw.lognormvariate(16, 1)) for _ in range(3_000)]
        for length_ns in lengths:
            quantile.add(length_ns)
        truth = sorted(lengths)[int(fraction * len(lengths))]
        assert quantile.threshold_ns == pytest.approx(truth, rel=0.15)


def test_a_quantile_follows_a_service_that_changed() -> None:
    quantile = Quantile(0.95)
    for _ in range(10_000):
        quantile.add(1_000_000)
    for _ in range(10_000):
        quantile.add(50_000_000)
    assert quantile.threshold_ns is not None
    assert 50_000_000 <= quantile.threshold_ns <= 53_000_000


def test_requests_that_all_take_the_same_are_not_all_slow() -> None:
    keeper = Keeper(Config(keep=KEEP_SLOW, keep_share=0.01), Random(1), itertools.count().__next__)  # one a second
    decided = [keeper.decide("GET /", 5_000_000 + number, error=False) for number in range(2_000)]
    assert [one.why for one in decided[:FEWEST]] == [WHY_NEW] * FEWEST
    assert {one.why for one in decided[FEWEST:]} <= {"", WHY_SHARE}
    assert sum(one.why == WHY_SHARE for one in decided) < 60
    assert keeper.decide("GET /", 9_000_000, error=False).why == WHY_SLOW
    assert keeper.decide("GET /", 5_000_000, error=True).why == WHY_ERROR


@pytest.mark.parametrize("share", [0.1, 0.3, 0.55, 1.0])
def test_ordinary_requests_are_told_in_their_number_and_each_is_kept_as_often(share: float) -> None:
    kept = Counter[int]()
    runs, requests = 4_000, 50
    for seed in range(runs):
        keeper = Keeper(Config(keep=KEEP_SLOW, slow_ns=10**12, keep_share=share, keep_per_s=0), Random(seed))
        decided = [keeper.decide("GET /", 5_000_000, error=False) for _ in range(requests)]
        assert abs(sum(one.weight for one in decided) - requests) <= 1 / share
        kept.update(number for number, one in enumerate(decided) if one.why == WHY_SHARE)
    deviation = (runs * share * (1 - share)) ** 0.5
    assert all(abs(kept[number] - runs * share) <= 5 * deviation for number in range(requests))


def test_draws_of_probabilities_that_change_are_unbiased() -> None:
    probabilities = [1.0, 0.9, 0.5, 0.25, 0.7, 0.01, 1.0, 0.6, 0.6, 0.99]
    runs, kept = 20_000, Counter[int]()
    for seed in range(runs):
        draws = EvenDraws(Random(seed))
        kept.update(number for number, one in enumerate(probabilities) if draws.keeps(one))
    for number, one in enumerate(probabilities):
        assert abs(kept[number] - runs * one) <= 5 * (runs * one * (1 - one)) ** 0.5


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("WHYWAIT_KEEP", "some"),
        ("WHYWAIT_SLOW_MS", "0"),
        ("WHYWAIT_SLOW_QUANTILE", "1.5"),
        ("WHYWAIT_KEEP_SHARE", "x"),
        ("WHYWAIT_KEEP_PER_S", "-1"),
    ],
)
def test_settings_that_cannot_be_used_are_named(name: str, bad: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is '{bad}'"):
        from_environment({name: bad})


def test_settings_of_what_is_kept() -> None:
    config = from_environment(
        {"WHYWAIT_KEEP": "slow", "WHYWAIT_SLOW_MS": "250", "WHYWAIT_SLOW_QUANTILE": "0.99", "WHYWAIT_KEEP_SHARE": "0.2"}
    )
    assert config == Config(keep="slow", slow_ns=250 * MS_NS, slow_quantile=0.99, keep_share=0.2)


class _Collector(BaseHTTPRequestHandler):
    """Takes OTLP metrics and keeps them."""

    taken: ClassVar[list[tuple[str, ExportMetricsServiceRequest]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.taken.append((self.path, ExportMetricsServiceRequest.FromString(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def collector() -> Iterator[str]:
    _Collector.taken.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/metrics"
        server.shutdown()
        thread.join()


def test_metrics_are_sent_where_they_are_asked_for_and_a_fork_sends_its_own(tmp_path: Any, collector: str) -> None:
    program = """
import os, whywait
with whywait.phase("before the fork"): pass
child = os.fork()
if child:
    os.waitpid(child, 0)
    with whywait.phase("parent"): pass
else:
    with whywait.phase("child"): pass
whywait.stop()
os._exit(0)
"""
    environment = {
        **os.environ, "OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": collector,
        "WHYWAIT_SERVICE_NAME": "shop", "WHYWAIT_SAMPLER": "0", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    command = [sys.executable, "-m", "whywait", "run", "-o", str(tmp_path), "--", sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "shutdown" not in done.stderr
    told: dict[str, dict[str, int]] = {}
    for path, request in _Collector.taken:
        assert path == "/v1/metrics"
        for resource in request.resource_metrics:
            said = {item.key: item.value for item in resource.resource.attributes}
            assert said["service.name"].string_value == "shop"
            for scope in resource.scope_metrics:
                for metric in (one for one in scope.metrics if one.name == "whywait.requests"):
                    for point in metric.sum.data_points:
                        labels = {item.key: item.value.string_value for item in point.attributes}
                        told.setdefault(str(said["process.pid"].int_value), {})[labels["endpoint"]] = point.as_int
    assert sorted(told.values(), key=len) == [{"child": 1}, {"before the fork": 1, "parent": 1}]
