"""The exporter to the collector that OTEL_EXPORTER_OTLP_* names, in the protocol that they ask for."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from whywait.tracer.config import named_collector
from whywait.tracer.export.sdk_internals import retry_apart
from whywait.tracer.export.span_lines import BuiltSpan
from whywait.tracer.hotpath.recorder import logger
from whywait.tracer.redaction.spans import Redaction

_HTTP: Final = "http/protobuf"
# imported only where one is used: of the start of a service they take some 50 ms
_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.%s.trace_exporter"
_NO_GRPC: Final = (
    "whywait: sends nothing to the collector: OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and its exporter cannot be imported "
    "(%s). Install it: pip install 'whywait[grpc]', or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf."
)
_UNKNOWN: Final = (
    "whywait: sends nothing to the collector: OTEL_EXPORTER_OTLP_PROTOCOL is %r. Set it to http/protobuf or grpc."
)


def collector_exporter(environ: Mapping[str, str]) -> SpanExporter | None:
    """Return the exporter, or None if no collector is named or its protocol cannot be spoken, which is logged."""
    exporter, _ = named_collector(environ)
    if not exporter:
        return None
    protocol = _protocol(exporter, environ)
    if protocol == _HTTP:
        return retry_apart(_exporter("http"))
    if protocol == "grpc":
        try:
            return _exporter("grpc")
        except ImportError as error:
            logger.warning(_NO_GRPC, error)
            return None
    logger.warning(_UNKNOWN, protocol)
    return None


def _protocol(exporter: str, environ: Mapping[str, str]) -> str:
    if exporter != "otlp":
        return "grpc" if exporter == "otlp_proto_grpc" else _HTTP
    found = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or _HTTP
    return found.strip().lower()


def _exporter(over: str) -> SpanExporter:
    exporter: SpanExporter = importlib.import_module(_EXPORTER % over).OTLPSpanExporter()
    return exporter


class ToCollector(SpanExporter):
    """Passes spans of the SDK to `exporter`, without secrets if there is a `redaction`."""

    def __init__(self, exporter: SpanExporter, redaction: Redaction | None) -> None:
        self._exporter = exporter
        self._redaction = redaction

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        found = [one.readable() if isinstance(one, BuiltSpan) else one for one in spans]
        redaction = self._redaction
        return self._exporter.export(found if redaction is None else list(map(redaction.without_secrets, found)))

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
