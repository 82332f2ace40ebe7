"""The sidecar against a real receiver of OTLP over HTTP, which decodes what comes; and against none."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from testbed.service import free_port
from tests.analysis.cli.test_cli import ROOT, refused, whywait
from tests.analysis.live.test_top import wait_for, written
from tests.analysis.live.traces import BUSY, QUEUED, lines_of, one

COMMAND = [sys.executable, "-m", "whywait", "metrics"]
Labels = tuple[tuple[str, str], ...]


class Receiver:
    """Keeps the latest value of each series; `status` is what it answers."""

    def __init__(self) -> None:
        self.values: dict[str, dict[Labels, Any]] = {}
        self.services: set[str] = set()
        self.paths: set[str] = set()
        self.examples: dict[str, set[str]] = {}  # trace ids, by metric
        self.exports = 0
        self.status = 200

    def take(self, path: str, body: bytes) -> None:
        message = ExportMetricsServiceRequest.FromString(body)
        for resource in message.resource_metrics:
            named = {one.key: one.value.string_value for one in resource.resource.attributes}
            self.services.add(named.get("service.name", ""))
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    for point in getattr(metric, kind).data_points:
                        labels = tuple(sorted((one.key, one.value.string_value) for one in point.attributes))
                        self.values.setdefault(metric.name, {})[labels] = _value(kind, point)
                        if kind == "histogram":
                            ids = {one.trace_id.hex() for one in point.exemplars}
                            self.examples.setdefault(metric.name, set()).update(ids)
        self.paths.add(path)
        self.exports += 1

    def value(self, name: str, **labels: str) -> Any:
        return self.values.get(name, {}).get(tuple(sorted(labels.items())))


def _value(kind: str, point: Any) -> Any:
    if kind == "histogram":
        return point.count, point.sum, list(point.bucket_counts)
    return point.as_double if point.WhichOneof("value") == "as_double" else point.as_int


@contextmanager
def receiver(port: int = 0) -> Iterator[tuple[Receiver, str]]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if found.status == 200:
                found.take(self.path, body)
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield found, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def sidecar(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "2"},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        assert b"following" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[bytes]", number: int = signal.SIGTERM) -> tuple[int, str]:
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    return process.returncode, said.decode()


def test_sums_arrive_as_they_grow_and_the_last_export_has_everything(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    written(path, 1, 6, "GET /before")  # not counted: it was there already
    with (
        receiver() as (found, url),
        sidecar(str(tmp_path), "--send", url, "--seconds", "0.3", "--service", "shop") as process,
    ):
        written(path, 100, 20)
        wait_for(lambda: found.value("whywait.requests.analysed", endpoint="GET /slow") == 20)
        assert found.value("whywait.cause.time", endpoint="GET /slow", cause="pool_queue") == 10 * 0.005
        assert found.value("whywait.cause.time", endpoint="GET /slow", cause="loop_busy") == 10 * 0.006
        # what came a moment before the end is in the last export
        with path.open("ab") as file:
            file.writelines(lines_of(one(QUEUED, "GET /last", 900, 2.5)))
        assert ended(process) == (0, "")
    assert found.value("whywait.requests.analysed", endpoint="GET /last") == 2.5
    assert found.value("whywait.traces.analysed", endpoint="GET /last") == 1
    assert found.value("whywait.requests.analysed", endpoint="GET /before") is None
    assert found.services == {"shop"}
    assert found.paths == {"/v1/metrics"}
    assert found.value("whywait.follow.behind") == 0


def test_a_bucket_has_a_trace_as_an_example(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    busy, queued = one(BUSY, "GET /", 1), one(QUEUED, "GET /", 99)  # of one bucket
    path.write_bytes(b"".join((*lines_of(busy), *lines_of(queued))))
    with receiver() as (found, url), sidecar(str(path), "--send", f"{url}/v1/metrics", "--from-start") as process:
        assert ended(process)[0] == 0
    (example,) = found.examples["whywait.wall.time"]
    assert example in {*busy["trace_id"], *queued["trace_id"]}


def test_the_histogram_counts_as_many_as_the_traces_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    with path.open("wb") as file:
        for number in range(1, 41):
            file.writelines(lines_of(one(BUSY, "GET /", number, 12.5)))  # 12 ms each
        file.writelines(lines_of(one(QUEUED, "GET /", 99)))  # 16 ms
    with receiver() as (found, url), sidecar(str(path), "--send", f"{url}/v1/metrics", "--from-start") as process:
        assert ended(process)[0] == 0
    count, total_s, buckets = found.value("whywait.wall.time", endpoint="GET /")
    assert count == 501
    assert total_s == pytest.approx(500 * 0.012 + 0.016)
    assert max(buckets) == 501  # both between 10 and 25 ms
    assert found.value("whywait.requests.analysed", endpoint="GET /") == 501


def test_endpoints_are_bounded_and_causes_are_a_closed_set(tmp_path: Path) -> None:
    from whywait.analysis.causes import Cause

    path = tmp_path / "traces.jsonl"
    for number in range(1, 40):
        written(path, number, 1, f"GET /a{number}")
    with receiver() as (found, url), sidecar(str(path), "--send", url, "--from-start", "--endpoints", "5") as process:
        assert ended(process, signal.SIGINT)[0] == 0
    labels = [dict(one) for one in found.values["whywait.cause.time"]]
    assert {one["endpoint"] for one in labels} == {*(f"GET /a{number}" for number in range(1, 6)), "(other)"}
    assert {one["cause"] for one in labels} <= {str(cause) for cause in Cause}
    assert {frozenset(one) for one in labels} == {frozenset(("endpoint", "cause"))}
    assert found.value("whywait.requests.analysed", endpoint="(other)") == 34


def test_hostile_names_do_not_stop_the_export(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    written(path, 1, 2, "GET \ud800\x00\x1b[31m")
    written(path, 10, 2, "GET /fine")
    with receiver() as (found, url), sidecar(str(path), "--send", url, "--from-start") as process:
        assert ended(process) == (0, "")
    assert found.value("whywait.requests.analysed", endpoint="GET /fine") == 2
    assert len(found.values["whywait.requests.analysed"]) == 2


def test_a_collector_that_is_down_costs_nothing_but_a_count(tmp_path: Path) -> None:
    path, port = tmp_path / "traces.jsonl", free_port()
    with sidecar(str(path), "--send", f"http://127.0.0.1:{port}", "--seconds", "0.2") as process:
        assert process.stderr is not None
        written(path, 1, 4)
        assert b"cannot be reached" in process.stderr.readline()
        written(path, 100, 4)
        with receiver(port) as (found, _):  # it comes up: nothing is missing from the sums
            wait_for(lambda: found.value("whywait.requests.analysed", endpoint="GET /slow") == 8)
            wait_for(lambda: (found.value("whywait.follow.lost", kind="export") or 0) >= 1)
            code, said = ended(process)
    assert code == 0
    assert "exports failed" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("up", [True, False])
def test_it_ends_in_time_though_nobody_takes_the_last_export(tmp_path: Path, up: bool) -> None:
    with receiver() as (found, url):
        found.status = 503
        target = url if up else f"http://127.0.0.1:{free_port()}"
        with sidecar(str(tmp_path / "traces.jsonl"), "--send", target) as process:
            begun_s = time.monotonic()
            code, said = ended(process)
            assert code == 0
            assert "1 of 1 export failed" in said
            assert time.monotonic() - begun_s < 20


def test_a_signal_may_come_at_any_moment() -> None:
    """The handler runs in the midst of whatever the main thread does, thousands of times in its wait."""
    program = """
import signal
from whywait.analysis.live.sidecar import Stop
stop = Stop()
signal.signal(signal.SIGALRM, lambda *_: stop.ask())
signal.setitimer(signal.ITIMER_REAL, 0.00005, 0.00005)
for _ in range(20_000):
    stop.wait(0.00004)
signal.setitimer(signal.ITIMER_REAL, 0)
assert stop.asked
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "says"),
    [(["-"], "cannot be followed"), (["x", "--send", "collector:4318"], "expected a URL"),
     (["/nowhere/at/all"], "no directory")],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(words: list[str], says: str) -> None:
    refused(whywait("metrics", *words), says)
