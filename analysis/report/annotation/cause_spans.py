"""Turns the segments of each request into new spans below the request's own span. Pure."""

import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final

import pandas as pd

from whywait.analysis.causes import NO_CULPRIT, Cause
from whywait.analysis.model import Analysis, span_id_of
from whywait.analysis.write.otlp_file import NewSpan
from whywait.tracer import schema

LONGEST: Final = 300
_SPAN_ID: Final = re.compile(r"[0-9a-f]{16}")
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_SAME: Final = ("cause", "evidence", "detail", "activity_id", "culprit", "culprit_file", "culprit_line",
                "culprit_trace_id", "culprit_span_id")  # fmt: skip


def cause_spans(
    analysis: Analysis, shortest_ns: int, hosts: Mapping[tuple[str, str], Mapping[str, str]] | None = None
) -> Iterator[NewSpan]:
    """Yield the new spans of every request, below one of a service of their own, sorted by time; a segment under `shortest_ns` has none, but the lane's
    sums include it. `hosts`: the resource attributes of their hosts, by trace and span id. Ids depend on the request alone."""
    segments = analysis.causes.groupby("request_id", sort=False)
    own_segments = {str(name): rows for name, rows in segments}
    for request in analysis.requests.to_dict("records"):
        rows = own_segments.get(str(request["request_id"]))
        key = (str(request["trace_id"]), span_id_of(request["trace_id"], request["request_id"]))
        if rows is not None and _TRACE_ID.fullmatch(key[0]) and _SPAN_ID.fullmatch(key[1]):
            yield from _of_request(request, key, rows, shortest_ns, (hosts or {}).get(key, {}))  # type: ignore[arg-type]


def _of_request(
    request: Mapping[str, Any], key: tuple[str, str], rows: pd.DataFrame, shortest_ns: int, host: Mapping[str, str]
) -> Iterator[NewSpan]:
    trace_id, parent_id = key
    service = str(request["service"])[:LONGEST] or "unknown_service"
    own = {"service.name": f"{service} (why)", **host}
    lane = _lane(request, key, rows, _id(parent_id, "lane"), own)
    yield lane
    for number, segment in enumerate(merged(rows)):
        if segment["end_ns"] - segment["start_ns"] >= max(shortest_ns, 1):
            yield _segment_span(segment, trace_id, lane.span_id, _id(parent_id, f"lane/{number}"), own)


def _lane(
    request: Mapping[str, Any], key: tuple[str, str], rows: pd.DataFrame, span_id: str, resource: Mapping[str, str]
) -> NewSpan:
    """The span above those of a request's segments, with the sums of all its causes."""
    sums = rows.groupby("cause")["amount_ns"].sum().sort_values(ascending=False)
    attributes: dict[str, Any] = {f"{schema.FOUND_SUM_PREFIX}{cause}_ns": int(ns) for cause, ns in sums.items()}
    if len(sums):
        attributes |= {schema.FOUND_CAUSE: str(sums.index[0]), schema.FOUND_NS: int(sums.iloc[0])}
    return NewSpan(
        key[0], span_id, key[1], f"why {request['endpoint']}"[:LONGEST],
        int(request["start_ns"]), int(request["end_ns"]), resource, attributes,
    )  # fmt: skip


def merged(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one request's segments sorted by time; equal neighbours are merged."""
    found: list[dict[str, Any]] = []
    for row in rows.sort_values("start_ns").to_dict("records"):
        last = found[-1] if found else {}
        same = last.get("end_ns") == row["start_ns"] and all(_plain(last[name]) == _plain(row[name]) for name in _SAME)
        if not same:
            found.append({str(key): value for key, value in row.items()})
            continue
        found[-1]["end_ns"] = row["end_ns"]
        for name in ("amount_ns", "error_ns", "culprit_ns"):
            found[-1][name] += row[name]
    return found


def _segment_span(
    segment: Mapping[str, Any], trace_id: str, parent_id: str, span_id: str, resource: Mapping[str, str]
) -> NewSpan:
    attributes: dict[str, Any] = {
        schema.FOUND_CAUSE: str(segment["cause"]),
        schema.FOUND_NS: int(segment["end_ns"] - segment["start_ns"]),
        schema.FOUND_EVIDENCE: str(segment["evidence"]),
    }
    for key, name in (
        (schema.FOUND_DETAIL, "detail"), (schema.FOUND_ACTIVITY, "activity_name"), (schema.FOUND_CULPRIT, "culprit"),
        (schema.FOUND_CULPRIT_FILE, "culprit_file"), (schema.FOUND_CULPRIT_LINE, "culprit_line"),
        (schema.FOUND_CULPRIT_TRACE_ID, "culprit_trace_id"), (schema.FOUND_CULPRIT_SPAN_ID, "culprit_span_id"),
        (schema.FOUND_CULPRIT_NS, "culprit_ns"), (schema.FOUND_ERROR_NS, "error_ns"),
    ):  # fmt: skip
        value = _plain(segment[name])
        if value not in ("", None, 0):
            attributes[key] = value if isinstance(value, int) else str(value)[:LONGEST]
    return NewSpan(
        trace_id, span_id, parent_id, _said(segment)[:LONGEST], int(segment["start_ns"]),
        int(segment["end_ns"]), resource, attributes, _links(segment, trace_id),
    )  # fmt: skip


def _said(segment: Mapping[str, Any]) -> str:
    """Return a span name of cause, culprit and detail, so that the timeline shows the culprit without a click: it stands
    before all that a narrow column cuts, and once."""
    cause, culprit, detail = (str(segment[name]) for name in ("cause", "culprit", "detail"))
    if not culprit or cause in NO_CULPRIT or cause == Cause.COMPUTE:  # its detail begins with who computed
        return cause + (f": {detail}" if detail else "")
    told = re.search(rf"(?<![\w.]){re.escape(culprit)}(?![\w.])", detail)
    return f"{cause} by {culprit}" + (detail[told.end() :] if told else f": {detail}" if detail else "")


def _links(segment: Mapping[str, Any], trace_id: str) -> tuple[tuple[str, str], ...]:
    # some viewers take a link into the same trace for the parent
    culprit = str(segment["culprit_trace_id"]), str(segment["culprit_span_id"])
    if culprit[0] == trace_id or not _TRACE_ID.fullmatch(culprit[0]) or not _SPAN_ID.fullmatch(culprit[1]):
        return ()
    return (culprit,)


def _plain(value: Any) -> Any:
    return None if value is None or value is pd.NA or value != value else value


def _id(request_id: str, part: str) -> str:
    return blake2b(f"{request_id}/why/{part}".encode(), digest_size=8).hexdigest()
