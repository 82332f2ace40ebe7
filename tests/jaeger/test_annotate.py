"""Traces with their causes in a real Jaeger: ours and foreign ones, from a file and from the Jaeger itself."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from testbed.jaeger_server import Jaeger
from testbed.service import get, traced_service
from tests.analysis.drawing import drawn
from tests.analysis.otlp_writer import otlp_lines
from tests.jaeger.stored import stored
from whywait import analysis
from whywait.tracer import schema

pytestmark = pytest.mark.jaeger


def annotate(*words: str) -> str:
    command = [sys.executable, "-m", "whywait", "annotate", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sent(jaeger: Jaeger, source: str, *words: str) -> int:
    """Annotates into Jaeger; returns how many spans went there."""
    annotate(source, *words, "--send", jaeger.otlp_url)
    return sum(
        len(scope["spans"])
        for line in annotate(source, *words, "--output", "-").splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
    )


def tags(span: dict[str, Any]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real service, traced to a file only."""
    folder = tmp_path_factory.mktemp("annotate")
    with traced_service(folder, environment={"OTEL_SERVICE_NAME": "annotated"}) as url:
        for path in ("/pool/2", "/threaded", "/off_path"):
            get(f"{url}{path}")
    return folder


def test_the_lane_of_causes_stands_in_jaeger_and_adds_up(jaeger: Jaeger, output: Path) -> None:
    told = analysis.analyze(str(output))
    stored(jaeger, "annotated", sent(jaeger, str(output), "--min-ms", "0"))
    traces = stored(jaeger, "annotated (why)", 1)  # not of those in which there is no request
    assert len(traces) == len(told.requests)
    for trace in traces:
        (lane,) = [span for span in trace["spans"] if span["operationName"].startswith("why ")]
        sums = {
            key.removeprefix(schema.FOUND_SUM_PREFIX).removesuffix("_ns"): value
            for key, value in tags(lane).items() if key.startswith(schema.FOUND_SUM_PREFIX)
        }  # fmt: skip
        own = told.causes[told.causes["trace_id"] == trace["traceID"].rjust(32, "0")]
        assert sums == own.groupby("cause")["amount_ns"].sum().to_dict()
        segments = [
            span for span in trace["spans"]
            if any(one["spanID"] == lane["spanID"] for one in span["references"])
        ]  # fmt: skip
        assert sum(tags(span)[schema.FOUND_NS] for span in segments) == int(own["amount_ns"].sum())
        services = {process["serviceName"] for process in trace["processes"].values()}
        assert services == {"annotated", "annotated (why)"}, "the traces themselves came along"
        warned = [(span["operationName"], span["warnings"]) for span in [lane, *segments] if span.get("warnings")]
        assert warned == []


def test_a_cause_finds_its_requests(jaeger: Jaeger, output: Path) -> None:
    stored(jaeger, "annotated", sent(jaeger, str(output)))
    found = stored(jaeger, "annotated (why)", 1, tags=json.dumps({schema.FOUND_CAUSE: "pool_queue"}))
    names = {span["operationName"] for trace in found for span in trace["spans"]}
    assert any(name.startswith("pool_queue by ") and ": pool 'pool-2'" in name for name in names)
    told = analysis.analyze(str(output))
    queued = set(told.causes.loc[told.causes["cause"] == "pool_queue", "trace_id"])
    assert {trace["traceID"].rjust(32, "0") for trace in found} <= queued


def test_the_slowest_alone_are_a_file_that_its_search_page_takes(jaeger: Jaeger, output: Path, tmp_path: Path) -> None:
    path = tmp_path / "worst.jsonl"
    annotate(str(output), "--slowest", "1", "--output", str(path))
    # what the page makes of the lines, and whom it asks
    merged = {
        "resourceSpans": [one for line in path.read_text().splitlines() for one in json.loads(line)["resourceSpans"]]
    }
    asked = Request(
        f"{jaeger.query_url}/api/transform", json.dumps(merged).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(asked, timeout=30) as answer:
        (trace,) = json.load(answer)["data"]
    requests = analysis.analyze(str(output)).requests
    assert trace["traceID"].rjust(32, "0") == requests.sort_values("wall_ns")["trace_id"].iloc[-1]
    services = {process["serviceName"] for process in trace["processes"].values()}
    assert services == {"annotated", "annotated (why)"}


def test_what_comes_back_from_jaeger_is_analysed_as_before(jaeger: Jaeger, output: Path) -> None:
    stored(jaeger, "annotated", sent(jaeger, str(output)))
    told, again = analysis.analyze(str(output)), analysis.analyze(jaeger.query_url, service="annotated")
    assert again.causes.groupby("cause")["amount_ns"].sum().to_dict() == (
        told.causes.groupby("cause")["amount_ns"].sum().to_dict()
    )


def test_foreign_traces_that_are_in_jaeger_get_their_lane_there(jaeger: Jaeger, tmp_path: Path) -> None:
    start_ns = time.time_ns() - 60 * 10**9
    spans = drawn("""
        server GET        |---------------|
        plain  db   GET     |----|
        plain  page GET            |-----|
    """)
    first = int(spans["start_ns"].min())
    spans = spans.assign(
        service="foreign", scope="other", trace_id="f" * 32,
        start_ns=spans["start_ns"] - first + start_ns, end_ns=spans["end_ns"] - first + start_ns,
    )  # fmt: skip
    path = tmp_path / "foreign.jsonl"
    path.write_text(otlp_lines(spans))
    count = sent(jaeger, str(path))
    (trace,) = stored(jaeger, "foreign (why)", count)
    told = [span for span in trace["spans"] if schema.FOUND_CAUSE in tags(span)]
    assert {tags(span)[schema.FOUND_CAUSE] for span in told} == {"unexplained"}
    assert {process["serviceName"] for process in trace["processes"].values()} == {"foreign", "foreign (why)"}
    ids = [span["spanID"] for span in trace["spans"]]
    assert len(set(ids)) == len(ids)


def test_nobody_there_is_said(tmp_path: Path, output: Path) -> None:
    command = [sys.executable, "-m", "whywait", "annotate", str(output), "--send", "http://127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "did not accept traces" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
