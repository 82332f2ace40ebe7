"""Names the culprit of a wait from the attributes of its span."""

from collections.abc import Callable
from typing import Any, Final

from whywait.analysis.causes import Culprit
from whywait.analysis.spans.span_table import NONE, SpanTable
from whywait.tracer import schema

_HOLDERS = (
    schema.HOLDER_NAMES, schema.HOLDER_FILES, schema.HOLDER_LINES, schema.HOLDER_TRACE_IDS, schema.HOLDER_SPAN_IDS,
    schema.HOLDER_NS,
)  # fmt: skip
_BLOCKERS = (
    schema.BLOCKERS_NAMES, schema.BLOCKERS_FILES, schema.BLOCKERS_LINES, schema.BLOCKERS_TRACE_IDS,
    schema.BLOCKERS_SPAN_IDS, schema.BLOCKERS_NS,
)  # fmt: skip
COLUMNS = ("segment", "culprit", "file", "line", "trace_id", "span_id", "ns")
Named = tuple[int, str, str, int | None, str, str, int]  # COLUMNS; ns is the culprit's part of the wait span
Naming = Callable[[SpanTable, int, int], list[Named]]


def _occupants(spans: SpanTable, number: int, row: int) -> list[Named]:
    attributes = spans.attributes[row]
    arrays = [attributes.get(key) for key in (
        schema.OCCUPANT_NAMES, schema.OCCUPANT_TRACE_IDS, schema.OCCUPANT_SPAN_IDS, schema.OCCUPANT_NS,
    )]  # fmt: skip
    if not all(isinstance(array, list) for array in arrays):
        return []
    return [
        (number, str(name), "", None, str(trace_id or ""), str(span_id or ""), ns)
        for name, trace_id, span_id, ns in zip(*arrays, strict=False)
        if isinstance(ns, int) and 0 < ns < 2**53
    ]


def holders(spans: SpanTable, number: int, row: int) -> list[Named]:
    return _listed(spans.attributes[row], number, _HOLDERS)


def _listed(attributes: dict[str, Any], number: int, keys: tuple[str, ...]) -> list[Named]:
    """The culprits in parallel arrays: name, file, line, trace, span, ns."""
    arrays = [attributes.get(key) for key in keys]
    if not all(isinstance(array, list) for array in arrays):
        return []
    return [
        (number, str(name), str(file or ""), line if isinstance(line, int) and line > 0 else None,
         str(trace_id or ""), str(span_id or ""), ns)
        for name, file, line, trace_id, span_id, ns in zip(*arrays, strict=False)
        if isinstance(ns, int) and 0 < ns < 2**53
    ]  # fmt: skip


def _blocker(spans: SpanTable, number: int, row: int) -> list[Named]:
    attributes = spans.attributes[row]
    if several := _listed(attributes, number, _BLOCKERS):
        return several
    function = attributes.get(schema.BLOCKER_FUNCTION)
    if not function:
        return []
    ns = attributes.get(schema.BLOCKER_NS)
    file, line = text(attributes, schema.BLOCKER_FILE), line_number(attributes, schema.BLOCKER_LINE)
    trace_id, span_id = text(attributes, schema.BLOCKER_TRACE_ID), text(attributes, schema.BLOCKER_SPAN_ID)
    part = ns if isinstance(ns, int) and 0 < ns < 2**53 else NONE
    return [(number, str(function), file, line, trace_id, span_id, part)]


def _holder(spans: SpanTable, number: int, row: int) -> list[Named]:
    """The chief holder of the lock, else the lock itself."""
    attributes = spans.attributes[row]
    named = _blocker(spans, number, row)
    if named:
        return named
    file, line = text(attributes, schema.LOCK_FILE), line_number(attributes, schema.LOCK_LINE)
    kind = text(attributes, schema.LOCK_KIND) or text(attributes, schema.FOR)
    return [(number, kind, file, line, "", "", NONE)] if kind else []


def _handler(spans: SpanTable, number: int, row: int) -> list[Named]:
    """The holder of the handler's lock, else the handler."""
    attributes = spans.attributes[row]
    handler = text(attributes, schema.HANDLER)
    file, line = text(attributes, schema.CODE_FILE), line_number(attributes, schema.CODE_LINE)
    named = [(number, handler, file, line, "", "", NONE)] if handler else []
    return _blocker(spans, number, row) or named


def _call_site(spans: SpanTable, number: int, row: int) -> list[Named]:
    """The function that made the call."""
    attributes = spans.attributes[row]
    function = text(attributes, schema.CODE_FUNCTION)
    file, line = text(attributes, schema.CODE_FILE), line_number(attributes, schema.CODE_LINE)
    return [(number, function, file, line, "", "", NONE)] if function else []


def _pool(spans: SpanTable, number: int, row: int) -> list[Named]:
    attributes = spans.attributes[row]
    name = f"pool {str(attributes.get(schema.POOL_NAME, '?'))!r}"
    return [
        (
            number,
            name,
            text(attributes, schema.POOL_FILE),
            line_number(attributes, schema.POOL_LINE),
            "",
            "",
            NONE,
        )
    ]


def _awaited(spans: SpanTable, number: int, row: int) -> list[Named]:
    attributes = spans.attributes[row]
    if attributes.get(schema.WAIT) == schema.WAIT_LIMITER and (held := _occupants(spans, number, row)):
        return held
    if released := _blocker(spans, number, row):  # a lock, or a place in a batch
        return released
    awaited = text(attributes, schema.FOR)
    waker, waker_trace = text(attributes, schema.WAKER_NAME), text(attributes, schema.WAKER_TRACE_ID)
    if waker_trace:  # a token, a lock or a place that another request held
        waker_span = text(attributes, schema.WAKER_SPAN_ID)
        return [(number, waker or "another request", "", None, waker_trace, waker_span, NONE)]
    return [(number, awaited, "", None, "", "", NONE)] if awaited else []


def function(spans: SpanTable, number: int, row: int) -> list[Named]:
    attributes = spans.attributes[row]
    name = text(attributes, schema.CODE_FUNCTION) or spans.names[row]
    return [
        (
            number, str(name), text(attributes, schema.CODE_FILE), line_number(attributes, schema.CODE_LINE),
            spans.trace_ids[row], spans.span_ids[row], NONE,
        )
    ]  # fmt: skip


def text(attributes: dict[str, Any], key: str) -> str:
    value = attributes.get(key)
    return value if isinstance(value, str) else ""


def line_number(attributes: dict[str, Any], key: str) -> int | None:
    value = attributes.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


NAMED_BY: Final[dict[Culprit, Naming]] = {
    Culprit.OCCUPANTS: _occupants,
    Culprit.BLOCKER: _blocker,
    Culprit.POOL: _pool,
    Culprit.AWAITED: _awaited,
    Culprit.HOLDER: _holder,
    Culprit.HANDLER: _handler,
    Culprit.CALLER: _call_site,
}
