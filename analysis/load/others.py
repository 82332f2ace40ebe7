"""Knows the files of other tools: reads those that contain OTLP or Jaeger's spans, and says of others what they are."""

from collections.abc import Callable
from typing import Any, Final

from whywait.analysis.load.jaeger_legacy import legacy_rows
from whywait.analysis.load.otlp import NotOtlp, Row, rows_of

_BY_COLLECTOR: Final = "send it to the {} receiver of an OpenTelemetry Collector whose file exporter writes OTLP JSON"
# what tells it, what it is, what to do
_OTHERS: Final[tuple[tuple[Callable[[Any], bool], str, str], ...]] = (
    (lambda one: "traceEvents" in one or {"ph", "name"} <= one.keys(),
     "a Chrome trace (as Perfetto, Kineto, viztracer and PyTorch write), which has functions and no requests",
     "open it in https://ui.perfetto.dev, and record requests with whywait run"),
    (lambda one: "traceId" in one and "id" in one, "Zipkin v2 spans", _BY_COLLECTOR.format("zipkin")),
    (lambda one: isinstance(one.get("context"), dict) and "trace_id" in one["context"],
     "the text of OpenTelemetry's console exporter", "use its OTLP JSON file exporter, or whywait run --output"),
    (lambda one: "resourceMetrics" in one or "resourceLogs" in one, "OTLP metrics or logs", "give the file of traces"),
    (lambda one: "traceID" in one and "operationName" in one, "single spans of Jaeger",
     "download the trace as JSON on Jaeger's page, or give Jaeger's URL"),
)  # fmt: skip
_WRAPPED: Final = ("result", "trace")  # around OTLP in the answers of Jaeger v3 and Tempo
_BINARY: Final = ((b"\n", "OTLP as protobuf", _BY_COLLECTOR.format("otlp")), (b"SQLite", "a SQLite database (as nsys writes)",
                   "export it as spans of OTLP"), (b"PK", "a zip archive", "unpack it"))  # fmt: skip


def rows_of_any(payload: Any) -> list[Row]:
    """Return the spans of OTLP, of an answer or download of Jaeger or Tempo, or of a list of these. Raises NotOtlp,
    with what it is and how to convert it where that is known."""
    if isinstance(payload, list) and all(isinstance(one, dict) and "resourceSpans" in one for one in payload):
        return [row for one in payload for row in rows_of(one)]
    if not isinstance(payload, dict):
        return _refused(payload)
    for key in _WRAPPED:
        if isinstance(payload.get(key), dict):
            payload = payload[key]
    if isinstance(payload.get("batches"), list):
        payload = {"resourceSpans": payload["batches"]}
    if "resourceSpans" in payload:
        return rows_of(payload)
    if isinstance(payload.get("spans"), list) and "processes" in payload:
        payload = {"data": [payload]}
    if not isinstance(payload.get("data"), list):
        return _refused(payload)
    try:
        return legacy_rows(payload)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise NotOtlp(f"like an answer of Jaeger, but malformed ({type(error).__name__}: {error})") from error


def _refused(payload: Any) -> list[Row]:
    first = payload[0] if isinstance(payload, list) and payload else payload
    for is_one, what, advice in _OTHERS:
        if isinstance(first, dict) and is_one(first):
            raise NotOtlp(f"it is {what}: {advice}")
    raise NotOtlp('no "resourceSpans"')


def binary_kind(beginning: bytes) -> str:
    """Return what a file that is no text is, and what to do; "" if that is not known."""
    found = (f"{what}: {advice}" for start, what, advice in _BINARY if beginning.startswith(start))
    return next(found, "") if b"\0" in beginning or not beginning.isascii() else ""
