"""Whether spans go to a collector: the exporter, `whywait run`'s words and `doctor` follow one rule."""

import pytest

from whywait.tracer.config import named_collector
from whywait.tracer.export.collector import collector_exporter
from whywait.tracer.run_summary import collector

ADDRESS = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:secret@127.0.0.1:9"}


@pytest.mark.parametrize(
    ("environment", "exporter"),
    [
        ({}, ""), (ADDRESS, "otlp"), (ADDRESS | {"OTEL_TRACES_EXPORTER": ""}, "otlp"),
        (ADDRESS | {"OTEL_TRACES_EXPORTER": "otlp_proto_http"}, "otlp_proto_http"),
        (ADDRESS | {"OTEL_TRACES_EXPORTER": "console, otlp"}, "otlp"),
        (ADDRESS | {"OTEL_TRACES_EXPORTER": "console"}, ""), (ADDRESS | {"OTEL_TRACES_EXPORTER": "none"}, ""),
        (ADDRESS | {"OTEL_SDK_DISABLED": "true"}, ""), ({"OTEL_TRACES_EXPORTER": "otlp"}, ""),
    ],
)  # fmt: skip
def test_what_is_said_is_what_is_done(environment: dict[str, str], exporter: str) -> None:
    assert named_collector(environment)[0] == exporter
    made = collector_exporter(environment)
    assert (made is not None) == bool(exporter)
    assert collector(environment) == ("http://127.0.0.1:9" if exporter else "")
    if made is not None:
        made.shutdown()
