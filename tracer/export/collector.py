"""The exporter to the collector that OTEL_EXPORTER_OTLP_* names, in the protocol that they ask for."""

import importlib
from collections.abc import Mapping
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExporter

from whywait.tracer.config import named_collector
from whywait.tracer.export.sdk_internals import retry_apart
from whywait.tracer.hotpath.recorder import logger

_HTTP: Final = "http/protobuf"
_GRPC: Final = "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"
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
    if protocol == "grpc":
        return _over_grpc()
    if protocol == _HTTP:
        return retry_apart(OTLPSpanExporter())
    logger.warning(_UNKNOWN, protocol)
    return None


def _protocol(exporter: str, environ: Mapping[str, str]) -> str:
    if exporter != "otlp":
        return "grpc" if exporter == "otlp_proto_grpc" else _HTTP
    found = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or _HTTP
    return found.strip().lower()


def _over_grpc() -> SpanExporter | None:
    try:
        over_grpc = importlib.import_module(_GRPC)  # optional, and large
    except ImportError as error:
        logger.warning(_NO_GRPC, error)
        return None
    exporter: SpanExporter = over_grpc.OTLPSpanExporter()
    return exporter
