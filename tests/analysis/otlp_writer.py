"""A frame of spans as OTLP JSON Lines: what a collector would write."""

import json
from typing import Any

import pandas as pd

_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


def otlp_lines(spans: pd.DataFrame) -> str:
    """Return one line per span."""
    return "".join(json.dumps({"resourceSpans": [resource_spans(row)]}) + "\n" for row in spans.itertuples())


def resource_spans(row: Any) -> dict[str, Any]:
    """Return one span as a ResourceSpans object."""
    span = {
        "traceId": row.trace_id, "spanId": row.span_id, "parentSpanId": row.parent_id, "name": row.name,
        "kind": _KINDS[row.span_kind], "startTimeUnixNano": str(row.start_ns), "endTimeUnixNano": str(row.end_ns),
        "attributes": [{"key": key, "value": value(item)} for key, item in row.attributes.items()],
        "status": {"code": 2} if row.error else {},
    }  # fmt: skip
    service = {"attributes": [{"key": "service.name", "value": {"stringValue": row.service}}]}
    return {"resource": service, "scopeSpans": [{"scope": {"name": row.scope}, "spans": [span]}]}


def value(item: Any) -> dict[str, Any]:
    """Return an AnyValue."""
    if isinstance(item, bool):
        return {"boolValue": item}
    if isinstance(item, int):
        return {"intValue": str(item)}
    if isinstance(item, float):
        return {"doubleValue": item}
    if isinstance(item, list):
        return {"arrayValue": {"values": [value(part) for part in item]}}
    return {"stringValue": item}
