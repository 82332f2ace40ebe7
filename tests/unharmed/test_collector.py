"""A collector that is down, slow or failing harms no request, costs a bounded memory, and is told of."""

import logging
import random
import re
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

import whywait
from testbed.service import free_port, get
from tests.unharmed.collector import Collector, collecting
from tests.unharmed.serving import Served, ask_all_workers, serving
from tests.unharmed.test_workers import command_of
from whywait.tracer.config import Config
from whywait.tracer.export.collector import collector_exporter
from whywait.tracer.export.span_queue import ROOM_IDLE, SpanQueue
from whywait.tracer.host.own_thread import all_threads
from whywait.tracer.hotpath.recorder import Recorder

MANNERS = ("down", "slow", "failing")
ROUNDS, REQUESTS = 8, 25
# of medians of many, taken in turn on whatever else the machine does
MOST_RATIO = 1.5
MOST_STOP_S = 25.0  # outlet and queue together; see SpanQueue and Outlet


def service(stack: ExitStack, name: str, folder: Path, environment: dict[str, str]) -> Served:
    port = free_port()
    command = [sys.executable, "-m", "whywait", "run", "--", sys.executable, "-m", "uvicorn"]
    command += ["--port", str(port), "--log-level", "warning", "tests.unharmed.app:app"]
    log = folder / f"{name}.log"
    return stack.enter_context(serving(command, port, log, environment=environment))


def latencies_ms(url: str, count: int) -> list[float]:
    found = []
    for number in range(count):
        began_s = time.perf_counter()
        get(f"{url}/ask/{number}")
        found.append((time.perf_counter() - began_s) * 1e3)
    return found


def ratio(first: Served, second: Served) -> float:
    """Of the second's median latency to the first's, the two asked in turn."""
    seen: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS):
        for which in (0, 1) if turn % 2 else (1, 0):
            seen[which].extend(latencies_ms((first, second)[which].url, REQUESTS))
    return statistics.median(seen[1]) / statistics.median(seen[0])


@pytest.mark.parametrize("manner", MANNERS)
def test_requests_are_as_fast_as_with_a_healthy_one(manner: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        well, ill = (stack.enter_context(collecting(one)) for one in ("well", manner))
        services = [
            service(stack, name, tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": one.url})
            for name, one in (("well", well), ("ill", ill))
        ]
        for one in services:  # until what is ill has been met
            latencies_ms(one.url, 10)
        time.sleep(2)
        found = ratio(*services)
        ended_s = time.monotonic()
    stopped_s = time.monotonic() - ended_s
    assert found < MOST_RATIO
    assert stopped_s < 2 * MOST_STOP_S
    told = [
        re.search(r"whywait: dropped (\d+) spans of process \d+: the collector did not accept them", one.said)
        for one in services
    ]
    assert told[0] is None
    assert told[1] is not None
    assert "whywait: drops spans: the collector does not accept them" in services[1].said
    asked = [span for span in well.spans if span["name"] == "GET /ask/{asked}"]
    assert len(asked) == ROUNDS * REQUESTS + 10
    assert ill.spans == []


def test_all_workers_reach_the_collector(tmp_path: Path) -> None:
    port = free_port()
    with collecting("well") as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        run = [sys.executable, "-m", "whywait", "run", "--"]
        command = [*run, *command_of("gunicorn preload", port)]
        with serving(command, port, tmp_path / "log", environment=environment) as served:
            answers = ask_all_workers(served.url)
        for answer in answers:
            assert collector.traces[answer["trace_id"]] == {answer["processes"][0]}


Begin = Callable[[Collector], None]


@pytest.fixture
def to(monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Starts the tracer in this process, exporting to the collector."""

    def begin(collector: Collector) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        whywait.start("test", config=Config(sampler=False, export_interval_s=0.02))

    return begin


def work(times: int) -> None:
    for number in range(times):
        with whywait.phase(f"piece {number}"):
            pass


def until(met: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline_s, "it did not come about"
        time.sleep(0.01)


def test_what_was_lost_is_told_in_traces_once_the_collector_is_back(
    to: Begin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    from whywait.tracer.hotpath import recorder

    with collecting("failing") as collector, caplog.at_level(logging.WARNING):
        to(collector)
        active = recorder.active
        assert active is not None
        work(5)
        until(lambda: active.lost.total() > 0)
        time.sleep(0.2)  # all five
        lost = dict(active.lost)
        collector.manner = "well"
        work(1)
        until(lambda: bool(collector.spans))
        whywait.stop()
    assert set(lost) == {"span for the collector"}
    (root,) = [span for span in collector.spans if span.get("whywait.root")]
    assert root["whywait.lost"].int_value == lost["span for the collector"] >= 10
    (kind,) = root["whywait.lost.kinds"].array_value.values
    assert kind.string_value == f"{lost['span for the collector']} × span for the collector"
    said = [one.getMessage() for one in caplog.records if one.name == "whywait"]
    assert len(said) == 2  # when it began, and how many at the end


@pytest.mark.parametrize("manner", MANNERS)
def test_stop_does_not_hang(manner: str, to: Begin, caplog: pytest.LogCaptureFixture) -> None:
    with collecting(manner) as collector:
        to(collector)
        work(50)
        time.sleep(1.5)  # the first batch is on its way
        work(50)
        began_s = time.monotonic()
        whywait.stop()
        assert time.monotonic() - began_s < MOST_STOP_S
    said = " ".join(one.getMessage() for one in caplog.records if one.name == "whywait")
    assert re.search(r"dropped [1-9]\d* spans of process \d+: the collector did not accept them", said)
    for thread in all_threads():
        if thread.name.startswith("whywait-queue"):  # the one that the slow collector holds lets go with it
            thread.join(20)


class Stuck(SpanExporter):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.go.wait(30)
        self.taken += len(spans)
        return SpanExportResult.SUCCESS


def test_spans_in_memory_are_bounded_and_each_is_exported_or_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    room, batch, made = 200, 50, 2_000
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", str(room))
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", str(batch))
    recorder, exporter = Recorder(Config()), Stuck()
    queue = SpanQueue(exporter, "nowhere", recorder, part=10, stop_s=20)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    spans = provider.get_tracer("test")
    peak = 0
    for _ in range(made):
        spans.start_span("one").end()
        peak = max(peak, queue.waiting)
    assert room <= peak <= room + batch
    exporter.go.set()
    provider.shutdown()
    assert exporter.taken + recorder.lost["span for nowhere"] == made
    assert room <= exporter.taken <= room + batch


def test_an_exporter_that_takes_nothing_is_kept_less_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whywait.tracer.export.span_queue._IDLE_S", 0.2)
    recorder, exporter = Recorder(Config()), Stuck()
    queue = SpanQueue(exporter, "nowhere", recorder, part=10, stop_s=20)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    spans = provider.get_tracer("test")
    while queue.waiting < 2 * ROOM_IDLE and not recorder.lost:
        spans.start_span("one").end()
        if queue.waiting == ROOM_IDLE:
            time.sleep(1.5)  # the first batch is with the exporter, and does not get on
    # what may be queued, and the batch on its way
    assert ROOM_IDLE <= queue.waiting <= ROOM_IDLE + 2_048
    exporter.go.set()
    provider.shutdown()
    assert exporter.taken >= ROOM_IDLE
    assert recorder.lost["span for nowhere"] == 1


def test_a_stuck_exporter_holds_no_more_than_its_queues(to: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    from whywait.tracer.hotpath import recorder

    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "300")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100")
    with collecting("slow") as collector:
        to(collector)
        active = recorder.active
        assert active is not None
        most_requests = 0
        deadline_s = time.monotonic() + 20
        while active.lost["span for the collector"] < 100 and time.monotonic() < deadline_s:
            work(20)
            most_requests = max(most_requests, len(active.finished))
        assert active.lost["span for the collector"] >= 100
        assert most_requests <= active.config.max_pending_requests
        collector.end.set()
        whywait.stop()


def test_a_retry_takes_nothing_from_the_service_s_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting("down") as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
        exporter = collector_exporter({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
        assert exporter is not None
        before = random.getstate()
        exporter.export([])
        assert random.getstate() == before
        exporter.shutdown()
