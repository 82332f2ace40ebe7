"""Decodes a line of OTLP JSON as exporters write it straight into rows, without a dict for each value.

Anything else that `otlp` or `others` reads, or refuses with a reason, is left to them: the rows are the same.
"""

from functools import lru_cache
from sys import intern
from typing import Any, Final

from msgspec import UNSET, MsgspecError, Raw, Struct, UnsetType
from msgspec.json import Decoder

from whywait.analysis.load.others import rows_of_any
from whywait.analysis.load.otlp import ERROR_CODES, SPAN_KINDS, Row, id_of, parsed, process_facts, time_of

_NO_ARRAY: Final = Raw()


class _Value(Struct, gc=False, forbid_unknown_fields=True):
    stringValue: str | UnsetType = UNSET
    intValue: int | str | UnsetType = UNSET
    arrayValue: Raw = _NO_ARRAY
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


_SHORT: Final = 2048  # bytes of an array that may be kept: a bound of what all take together
_DECODE: Final = Decoder(_TracesData).decode
_DECODE_ARRAY: Final = Decoder(_Values).decode


def rows_of_line(line: bytes) -> list[Row]:
    """Return the spans of a line, as `rows_of_any` does of its JSON. Raises ValueError where there are none, RecursionError
    for JSON that is too deep."""
    try:
        # what is not read is not looked at by msgspec: a line of other bytes than UTF-8 is no JSON there, too
        return _rows(_DECODE(line if line.isascii() else line.decode()).resourceSpans)
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
        # the commonest cases, kept out of a call
        if (text := value.stringValue) is not UNSET:
            decoded[intern(one.key)] = text
        elif (number := value.intValue) is not UNSET:
            decoded[intern(one.key)] = int(number)
        elif (array := value.arrayValue) is not _NO_ARRAY:
            decoded[intern(one.key)] = _array(array)
        else:
            decoded[intern(one.key)] = _decoded(value)
    return decoded


def _decoded(value: _Value) -> Any:
    if value.stringValue is not UNSET:
        return value.stringValue
    if value.intValue is not UNSET:
        return int(value.intValue)
    if value.arrayValue is not _NO_ARRAY:
        return _array(value.arrayValue)
    if value.boolValue is not UNSET:
        return value.boolValue
    return None if value.doubleValue is UNSET else value.doubleValue


def _array(raw: Raw) -> list[Any]:
    text = bytes(raw)
    return _kept(text) if len(text) <= _SHORT else _values(text)


def _values(text: bytes) -> list[Any]:
    return list(map(_decoded, _DECODE_ARRAY(text).values))


# most arrays come again, as one list: waits beside one another have the same rivals and blockers
_kept: Final = lru_cache(maxsize=4096)(_values)
