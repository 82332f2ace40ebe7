"""The host's own tracing is as without whywait, whichever of both is set up first, and its requests are traced."""

import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from testbed.service import ROOT
from tests.tracer.conftest import read
from tests.unharmed.host_process import REQUESTS

SDK = "opentelemetry.sdk.trace"
HOSTS = {  # host: the package that it needs
    "sdk": SDK, "none": SDK, "logfire": "logfire", "sentry": "sentry_sdk", "sentry_otel": "sentry_sdk",
    "sentry_otlp": "sentry_sdk", "azure": "azure.monitor.opentelemetry", "ddtrace": "ddtrace",
    "instrument": "opentelemetry.distro",
}  # fmt: skip
ORDERS = ("whywait first", "host first")
WITHOUT_PROVIDER = {"none", "sentry", "ddtrace"}  # they set none: the global one is whywait's
QUIET = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
}  # fmt: skip


def seen(host: str, order: str, output: Path, **environment: str) -> tuple[dict[str, Any], str]:
    """What the host says in that order, and what the process logged."""
    if find_spec(HOSTS[host].split(".")[0]) is None or find_spec(HOSTS[host]) is None:
        pytest.skip(f"{HOSTS[host]} is not installed")
    command = [sys.executable, "-m", "tests.unharmed.host_process", host, order, "uvloop", str(output)]
    if host == "instrument":
        command = [str(Path(sys.executable).parent / "opentelemetry-instrument"), *command]
    process = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **QUIET, **environment}, capture_output=True, text=True, timeout=90
    )
    assert process.returncode == 0, process.stderr[-2_000:]
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found, process.stderr


@cache
def alone(host: str) -> dict[str, Any]:
    """What the host says without whywait."""
    environment = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "whywait"} if host == "instrument" else {}
    return seen(host, "never", Path("unused"), **environment)[0]


def roots_in(output: Path) -> set[tuple[str, str]]:
    spans = [span for path in output.glob("*.jsonl") for span in read(path)]
    return {(span.trace_id, span.span_id) for span in spans if span["root"]}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("host", HOSTS)
def test_the_hosts_telemetry_is_as_without_whywait(host: str, order: str, tmp_path: Path) -> None:
    found, logged = seen(host, order, tmp_path, WHYWAIT_OUTPUT=str(tmp_path))
    expected = alone(host)
    compared = {"names", "orphans", "propagator"}
    if host not in WITHOUT_PROVIDER:
        compared |= {"provider", "settings", "resource", "resources", "prefixes"}
    if host == "sentry_otlp" and order == "whywait first":
        compared -= {"provider", "settings", "resource", "resources"}  # Sentry joins the provider that is there
    if host == "sentry_otel":  # its processor makes transactions of whywait's spans too: its own must all be there
        compared -= {"names"}
        assert not Counter(expected["names"]) - Counter(found["names"])
    assert {key: found[key] for key in compared} == {key: expected[key] for key in compared}
    assert len(roots_in(tmp_path)) == REQUESTS
    assert "whywait:" not in logged


def test_a_provider_that_takes_no_processors_is_left_alone_in_one_sentence(tmp_path: Path) -> None:
    """ddtrace's, which is no provider of the SDK: whywait says so and leaves the process as it is."""
    mode = {"DD_TRACE_OTEL_ENABLED": "true"}
    for order in ORDERS:
        found, logged = seen("ddtrace", order, tmp_path, **mode)
        expected = Counter(seen("ddtrace", "never", tmp_path, **mode)[0]["names"])
        more = Counter(found["names"]) - expected
        assert not expected - Counter(found["names"])
        # imported before ddtrace, FastAPI reports the parts of a request to it
        assert set(more) <= ({"internal"} if order == "whywait first" else set())
        assert logged.count("whywait: ") == 1
        assert "needs OpenTelemetry's SDK provider" in logged
