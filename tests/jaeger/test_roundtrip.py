"""The same traces, from the file and from a real Jaeger, give the same table."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import analysis
from tests.jaeger.server import Jaeger
from tests.truth.service import get, traced_service

pytestmark = pytest.mark.jaeger


@pytest.fixture(scope="module")
def exported(jaeger: Jaeger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real service, traced to a file and to Jaeger at once."""
    output = tmp_path_factory.mktemp("exported")
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp_url, "OTEL_SERVICE_NAME": "roundtrip"}
    with traced_service(output, environment=environment) as url:
        for path in ("/pool/2", "/threaded", "/sleep", "/off_path", "/victim", "/idle"):
            get(f"{url}{path}")
    return output


def from_jaeger(jaeger: Jaeger, span_count: int) -> analysis.Traces:
    """What Jaeger has once it has `span_count` spans, or after a minute.

    Jaeger stores span by span, from a queue of its own: a trace it already tells of may still
    lack spans that it has been sent.
    """
    deadline = time.monotonic() + 60
    while True:
        try:
            traces = analysis.load_traces(jaeger.query_url, service="roundtrip")
            if len(traces.spans) >= span_count or time.monotonic() > deadline:
                return traces
        except analysis.InputError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def test_same_table_from_file_and_jaeger(jaeger: Jaeger, exported: Path) -> None:
    from_file = analysis.load_traces(exported)
    loaded = from_jaeger(jaeger, len(from_file.spans))
    assert len(loaded.spans) == len(from_file.spans)
    pd.testing.assert_frame_equal(analysis.attribute(loaded), analysis.attribute(from_file))
    assert len(analysis.attribute(loaded)) > 20


def test_report_command_reads_jaeger(jaeger: Jaeger, exported: Path) -> None:
    from_jaeger(jaeger, len(analysis.load_traces(exported).spans))
    command = [
        sys.executable,
        "-m",
        "tracer.command",
        "report",
        jaeger.query_url,
        "--service",
        "roundtrip",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "/pool/{size}" in json.dumps(json.loads(done.stdout))


def test_unknown_service_names_those_there_are(jaeger: Jaeger, exported: Path) -> None:
    with pytest.raises(analysis.InputError, match="roundtrip"):
        analysis.load_traces(jaeger.query_url, service="no-such-service")
