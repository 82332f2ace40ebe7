"""The second notebook against a real Jaeger, which holds what a real service sent it."""

from pathlib import Path

import pytest

from testbed.jaeger_server import Jaeger
from testbed.notebooks import executed, figures_of
from testbed.service import get, traced_service
from tests.jaeger.stored import stored
from whywait import analysis

pytestmark = pytest.mark.jaeger


def test_from_jaeger_runs_on_a_real_one(jaeger: Jaeger, tmp_path: Path) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp_url, "OTEL_SERVICE_NAME": "noted"}
    with traced_service(tmp_path / "traces", environment=environment) as url:
        for path in ("/pool/2", "/threaded", "/sleep"):
            get(f"{url}{path}")
    stored(jaeger, "noted", len(analysis.load_traces(tmp_path / "traces").spans))
    result = executed("from_jaeger.ipynb", tmp_path, {"JAEGER_URL": jaeger.query_url, "SERVICE": "noted"})
    assert result.error is None, result.error
    assert len(figures_of(result)) == 4
