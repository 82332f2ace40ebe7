"""Knows the files of other tools: reads those that contain OTLP or Jaeger's spans, and says of others what they are."""

from collections.abc import Callable
from itertools import chain
from typing import Any, Final

from whywait.analysis.load.jaeger_legacy import legacy_rows
from whywait.analysis.load.otlp import NotOtlp, Row, malformed, rows_of

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
    several = payload if isinstance(payload, list) else [payload]
    if all("resourceSpans" in _fields(one) for one in several):
        return list(chain.from_iterable(map(rows_of, several)))
    fields = _unwrapped(_fields(payload))
    if "resourceSpans" in fields:
        return rows_of(fields)
    traces = [fields] if "processes" in fields else fields.get("data")
    if not isinstance(traces, list):
        raise NotOtlp(_said_of(fields or payload))
    with malformed("like an answer of Jaeger, but malformed"):
        return legacy_rows(traces)


def _unwrapped(fields: dict[str, Any]) -> dict[str, Any]:
    for key in _WRAPPED:
        fields = _fields(fields.get(key)) or fields
    return {"resourceSpans": fields["batches"]} if isinstance(fields.get("batches"), list) else fields


def _fields(one: Any) -> dict[str, Any]:
    return one if isinstance(one, dict) else {}


def _said_of(payload: Any) -> str:
    first = _fields(payload[0] if isinstance(payload, list) and payload else payload)
    known = (f"it is {what}: {advice}" for is_one, what, advice in _OTHERS if first and is_one(first))
    return next(known, 'no "resourceSpans"')


def binary_kind(beginning: bytes) -> str:
    """Return what a file that is no text is, and what to do; "" if that is not known."""
    found = (f"{what}: {advice}" for start, what, advice in _BINARY if beginning.startswith(start))
    return next(found, "") if b"\0" in beginning or not beginning.isascii() else ""
