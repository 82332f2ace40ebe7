"""What whywait takes from the environment and the command line before it traces."""

import logging
import sys

import pytest

import whywait
from whywait.tracer.export.collector import collector_exporter
from whywait.tracer.host.names.app_name import app_name
from whywait.tracer.session import is_active

NAMED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def test_start_never_raises_into_the_service(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("WHYWAIT_KEEP", "odd")
    whywait.start()
    assert not is_active()
    assert "WHYWAIT_KEEP is 'odd'" in caplog.text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["python", "bin/uvicorn", "shop.main:app", "--host", "localhost:80"], "shop"),
        (["python", "-m", "uvicorn", "app:app"], "app"),
        (["python", "-m", "shop.__main__"], "shop"),
        (["python", "-X", "dev", "/srv/shop/main.py"], "shop"),
        (["python", "orders.py"], "orders"),
    ],
)
def test_the_services_name_is_the_applications(
    monkeypatch: pytest.MonkeyPatch, words: list[str], expected: str
) -> None:
    monkeypatch.setattr(sys, "orig_argv", words)
    assert app_name() == expected


def test_grpc_is_refused_in_one_sentence_where_its_exporter_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with caplog.at_level(logging.WARNING):
        assert collector_exporter({**NAMED, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) is None
    assert [record.getMessage() for record in caplog.records if "whywait[grpc]" in record.getMessage()] == [
        caplog.messages[0]
    ]
    assert collector_exporter(NAMED) is not None
    assert collector_exporter({}) is None
