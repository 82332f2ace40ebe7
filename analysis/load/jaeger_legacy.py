"""The JSON of Jaeger's API before v3: times in microseconds, attributes as typed tags."""

import json
from typing import Any

from whywait.analysis.load.otlp import Row, time_of


def legacy_rows(answer: dict[str, Any]) -> list[Row]:
    """Return the spans of an /api/traces answer as rows of SPAN_COLUMNS. Raises KeyError, TypeError or ValueError."""
    rows: list[Row] = []
    for trace in answer["data"]:
        rows += [_row(span, trace["processes"]) for span in trace["spans"]]
    return rows


def _row(span: dict[str, Any], processes: dict[str, Any]) -> Row:
    tags = {tag["key"]: _value(tag) for tag in span.get("tags") or ()}
    kind = str(tags.pop("span.kind", "internal"))
    scope = str(tags.pop("otel.scope.name", tags.pop("otel.library.name", "")))
    error = bool(tags.pop("error", False)) or tags.pop("otel.status_code", "") == "ERROR"
    start_ns = time_of(int(span["startTime"]) * 1000)
    references = span.get("references") or ()
    parents = [_ids(one)[1] for one in references if one.get("refType") == "CHILD_OF"]
    others = [_ids(one) for one in references if one.get("refType") != "CHILD_OF"]
    return (
        *_ids(span), parents[0] if parents else "", str(span.get("operationName") or ""),
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
