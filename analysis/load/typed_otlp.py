"""Decodes a line of OTLP JSON as exporters write it straight into rows, without a dict for each value.

Anything else that `otlp` or `others` reads, or refuses with a reason, is left to them: the rows are the same.
"""

from sys import intern
from typing import Any, Final

from msgspec import UNSET, MsgspecError, Struct, UnsetType
from msgspec.json import Decoder

from whywait.analysis.load.others import rows_of_any
from whywait.analysis.load.otlp import ERROR_CODES, SPAN_KINDS, Row, id_of, parsed, process_facts, time_of


class _Value(Struct, gc=False, forbid_unknown_fields=True):
    stringValue: str | UnsetType = UNSET
    intValue: int | str | UnsetType = UNSET
    arrayValue: "_Values | UnsetType" = UNSET
    boolValue: bool | UnsetType = UNSET
    doubleValue: float | UnsetType = UNSET


class _Values(Struct, gc=False):
    values: list[_Value] = []


class _Attribute(Struct, gc=False):
    key: str
    value: _Value


class _Link(Struct, gc=False):
    traceId: str
    spanId: str


class _Status(Struct, gc=False, frozen=True):
    code: int | str = 0


class _Span(Struct, gc=False):
    traceId: str
    spanId: str
    startTimeUnixNano: int | str
    endTimeUnixNano: int | str
    parentSpanId: str = ""
    name: str = ""
    kind: int | str = 0
    status: _Status = _Status()
    attributes: list[_Attribute] = []
    links: list[_Link] = []


class _Scope(Struct, gc=False, frozen=True):
    name: str = ""


class _ScopeSpans(Struct, gc=False):
    scope: _Scope = _Scope()
    spans: list[_Span] = []


class _Resource(Struct, gc=False, frozen=True):
    attributes: list[_Attribute] = []


class _ResourceSpans(Struct, gc=False):
    resource: _Resource = _Resource()
    scopeSpans: list[_ScopeSpans] = []
    instrumentationLibrarySpans: list[_ScopeSpans] = []


class _TracesData(Struct, gc=False):
    resourceSpans: list[_ResourceSpans]


_DECODE: Final = Decoder(_TracesData).decode


def rows_of_line(line: bytes) -> list[Row]:
    """Return the spans of a line, as `rows_of_any` does of its JSON. Raises ValueError where there are none, RecursionError
    for JSON that is too deep."""
    try:
        return _rows(_DECODE(line).resourceSpans)
    except (MsgspecError, ValueError, RecursionError):
        return rows_of_any(parsed(line))


def _rows(resource_spans: list[_ResourceSpans]) -> list[Row]:
    rows: list[Row] = []
    for resource_span in resource_spans:
        resource = _attributes(resource_span.resource.attributes)
        service, seen = str(resource.get("service.name") or ""), process_facts(resource)
        for scope_span in (*resource_span.scopeSpans, *resource_span.instrumentationLibrarySpans):
            scope = scope_span.scope.name
            for span in scope_span.spans:
                attributes = _attributes(span.attributes)
                attributes.update(seen)
                rows.append((
                    intern(id_of(span.traceId)), id_of(span.spanId), id_of(span.parentSpanId), intern(span.name),
                    service, scope, SPAN_KINDS.get(span.kind, ""), time_of(span.startTimeUnixNano),
                    time_of(span.endTimeUnixNano), span.status.code in ERROR_CODES, attributes,
                    [(id_of(link.traceId), id_of(link.spanId)) for link in span.links],
                ))  # fmt: skip
    return rows


def _attributes(listed: list[_Attribute]) -> dict[str, Any]:
    decoded: dict[str, Any] = {}
    for one in listed:
        value = one.value
        text = value.stringValue
        # the commonest case, kept out of a call
        decoded[intern(one.key)] = text if text is not UNSET else _decoded(value)
    return decoded


def _decoded(value: _Value) -> Any:
    if value.intValue is not UNSET:
        return int(value.intValue)
    if value.arrayValue is not UNSET:
        return [
            text if (text := one.stringValue) is not UNSET
            else int(number) if (number := one.intValue) is not UNSET
            else _decoded(one)
            for one in value.arrayValue.values
        ]  # fmt: skip
    if value.boolValue is not UNSET:
        return value.boolValue
    return None if value.doubleValue is UNSET else value.doubleValue
