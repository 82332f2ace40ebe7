"""What a report predicts of the change that it proposes, against the service with that change made."""

import json
import statistics
import threading
import time
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from testbed.service import get, traced_service
from tests.analysis.report.test_report import conforms
from whywait import analysis
from whywait.analysis.report.foretold import foretold
from whywait.analysis.report.json.report import as_json
from whywait.analysis.report.told import told_of

CLIENTS, REQUESTS = 4, 12  # a prediction takes 30 requests


def ran(output: Path, path: str) -> float:
    """Traces a service that answers a path to clients at once; the median of what they waited, ns, by their clocks."""
    took_ns: list[int] = []
    with traced_service(output) as url:

        def client() -> None:
            for _ in range(REQUESTS):
                begun_ns = time.perf_counter_ns()
                get(f"{url}{path}")
                took_ns.append(time.perf_counter_ns() - begun_ns)

        clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
    return statistics.median(took_ns)


def told(output: Path) -> tuple[Mapping[str, Any], str]:
    """The chief endpoint of the report with predictions, and its words."""
    found = analysis.analyze(output)
    report = as_json(found, told=foretold(found, told_of(found)))
    conforms(report, json.loads(files("whywait.analysis.report.json").joinpath("schema.json").read_text()), "$")
    first = report["endpoints"][0]
    return first, str(first["verdict"])


@pytest.mark.parametrize("ms", [15, 40])
def test_a_larger_pool_brings_what_was_predicted(tmp_path: Path, ms: int) -> None:
    ran(tmp_path / "before", f"/pool/1?jobs=2&ms={ms}")
    endpoint, words = told(tmp_path / "before")
    prediction = endpoint["prediction"]
    assert prediction["options"] == "--pool pool-1=2"
    p50 = prediction["felt_p50_ns"]
    assert p50["high"] < p50["before"]
    measured_ns = ran(tmp_path / "after", f"/pool/2?jobs=2&ms={ms}")
    assert p50["low"] < measured_ns < p50["high"]
    assert "Predicted (--pool pool-1=2, all requests): p50" in words


def test_what_cannot_be_predicted_is_said(tmp_path: Path) -> None:
    with traced_service(tmp_path) as url:
        get(f"{url}/pool/2?jobs=6&ms=20")
    endpoint, words = told(tmp_path)
    assert "prediction" not in endpoint
    assert "record at least 30" in words
