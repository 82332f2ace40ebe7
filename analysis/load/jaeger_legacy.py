"""The JSON of Jaeger's API before v3: times in microseconds, attributes as typed tags."""

import json
from typing import Any

from whywait.analysis.load.otlp import Row, name_of, time_of


def legacy_rows(traces: list[Any]) -> list[Row]:
    """Return the spans of traces ("data" of an /api/traces answer) as rows of SPAN_COLUMNS. Raises KeyError, TypeError
    or ValueError."""
    return [_row(span, trace["processes"]) for trace in traces for span in trace["spans"]]


def _row(span: dict[str, Any], processes: dict[str, Any]) -> Row:
    tags = {tag["key"]: _value(tag) for tag in span.get("tags") or ()}
    kind = str(tags.pop("span.kind", "internal"))
    scope = str(tags.pop("otel.scope.name", tags.pop("otel.library.name", "")))
    error = bool(tags.pop("error", False)) or tags.pop("otel.status_code", "") == "ERROR"
    start_ns = time_of(int(span["startTime"]) * 1000)
    parents, others = list[tuple[str, str]](), list[tuple[str, str]]()
    for one in span.get("references") or ():
        (parents if one.get("refType") == "CHILD_OF" else others).append(_ids(one))
    return (
        *_ids(span), parents[0][1] if parents else "", name_of(span, "operationName"),
        str(processes[span["processID"]]["serviceName"]), scope, kind, start_ns,
        time_of(start_ns + int(span["duration"]) * 1000), error, tags, others,
    )  # fmt: skip


def _ids(one: dict[str, Any]) -> tuple[str, str]:
    return one["traceID"].lower().rjust(32, "0"), one["spanID"].lower().rjust(16, "0")


def _value(tag: dict[str, Any]) -> Any:
    value = tag.get("value")
    if tag.get("type") == "int64":
        return int(value)  # type: ignore[arg-type]
    if isinstance(value, str) and value[:1] == "[":
        # this API encodes a list as JSON text
        try:
            listed = json.loads(value)
        except ValueError:
            return value
        return listed if isinstance(listed, list) else value
    return value
