"""The same traces, from the file and from a real Jaeger, give the same table."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from testbed.jaeger_server import Jaeger
from testbed.service import get, traced_service
from tests.jaeger.stored import stored
from whywait import analysis

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


@pytest.fixture(scope="module")
def from_file(jaeger: Jaeger, exported: Path) -> analysis.Traces:
    """The file's, once Jaeger has them, too."""
    traces = analysis.load_traces(exported)
    stored(jaeger, "roundtrip", len(traces.spans))
    return traces


def test_same_table_from_file_and_jaeger(jaeger: Jaeger, from_file: analysis.Traces) -> None:
    loaded = analysis.load_traces(jaeger.query_url, service="roundtrip")
    assert len(loaded.spans) == len(from_file.spans)
    pd.testing.assert_frame_equal(analysis.attribute(loaded), analysis.attribute(from_file))
    assert len(analysis.attribute(loaded)) > 20


@pytest.mark.usefixtures("from_file")
def test_report_command_reads_jaeger(jaeger: Jaeger) -> None:
    command = [sys.executable, "-m", "whywait", "report", jaeger.query_url, "--service", "roundtrip", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "/pool/{size}" in json.dumps(json.loads(done.stdout))


@pytest.mark.usefixtures("from_file")
def test_unknown_service_names_those_there_are(jaeger: Jaeger) -> None:
    with pytest.raises(analysis.InputError, match="roundtrip"):
        analysis.load_traces(jaeger.query_url, service="no-such-service")
