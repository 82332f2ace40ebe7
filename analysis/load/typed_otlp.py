"""Decodes a line of OTLP JSON as exporters write it straight into rows, without a dict for each value.

Anything else that `otlp` or `others` reads, or refuses with a reason, is left to them: the rows are the same.
"""

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
    attributes: list[Raw] = []
    links: list[_Link] = []


class _Scope(Struct, gc=False, frozen=True):
    name: str = ""


class _ScopeSpans(Struct, gc=False):
    scope: _Scope = _Scope()
    spans: list[_Span] = []


class _Resource(Struct, gc=False, frozen=True):
    attributes: list[Raw] = []


class _ResourceSpans(Struct, gc=False):
    resource: _Resource = _Resource()
    scopeSpans: list[_ScopeSpans] = []
    instrumentationLibrarySpans: list[_ScopeSpans] = []


class _TracesData(Struct, gc=False):
    resourceSpans: list[_ResourceSpans]


_SHORT: Final = 512  # bytes of an attribute that may be kept
_MOST: Final = 2**15  # attributes that are kept
_FEW: Final = 2**16  # larger numbers are times, which do not come again
_DECODE: Final = Decoder(_TracesData).decode
_DECODE_ATTRIBUTE: Final = Decoder(_Attribute).decode
_DECODE_ARRAY: Final = Decoder(_Values).decode


class _Attributes(dict[bytes, tuple[str, Any]]):
    """Attributes by their JSON. Most come again: spans share them, as one value each."""

    def __missing__(self, text: bytes) -> tuple[str, Any]:
        one = _DECODE_ATTRIBUTE(text)
        made = intern(one.key), _decoded(one.value)
        if len(text) <= _SHORT and (type(made[1]) is not int or -_FEW < made[1] < _FEW):
            if len(self) >= _MOST:
                self.clear()
            self[text] = made
        return made


_known: Final = _Attributes().__getitem__


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


def _attributes(listed: list[Raw]) -> dict[str, Any]:
    return dict(map(_known, map(bytes, listed)))


def _decoded(value: _Value) -> Any:
    if value.stringValue is not UNSET:
        return value.stringValue
    if value.intValue is not UNSET:
        return int(value.intValue)
    if value.arrayValue is not _NO_ARRAY:
        return list(map(_decoded, _DECODE_ARRAY(value.arrayValue).values))
    if value.boolValue is not UNSET:
        return value.boolValue
    return None if value.doubleValue is UNSET else value.doubleValue
