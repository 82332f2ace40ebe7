"""Writes spans as OTLP JSON, one line of many spans, for the tracer and the analysis alike. Pure.

OpenTelemetry's own encoder builds an object for each value, then a dictionary of each object, then text: three times the
CPU time of this one, spent in the traced service; and it comes with recent versions only. A test compares the two.
Form: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import base64
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Final, TypeAlias

__all__ = ["attributes_json", "event", "fields", "line", "link", "quoted", "scope", "span"]

_HAS_IS_REMOTE: Final = 0x100  # of a span's flags: whether its parent is remote is known
_IS_REMOTE: Final = 0x200

Quote: TypeAlias = Callable[[str], str]
Say: TypeAlias = Callable[[str], Quote]


def line(resources: Iterable[tuple[Mapping[str, Any], str, Iterable[str]]]) -> str:
    """Return a document: of each resource its attributes, its schema's URL ("" without), and the texts of `scope`."""
    parts = (
        f'{{"resource":{{"attributes":{attributes_json(attributes)}}},"scopeSpans":[{",".join(scopes)}]{_schema(url)}}}'
        for attributes, url, scopes in resources
    )
    return f'{{"resourceSpans":[{",".join(parts)}]}}'


def scope(name: str, version: str | None, attributes: Mapping[str, Any] | None, url: str, spans: Iterable[str]) -> str:
    """Return one instrumentation scope with the texts of `span`."""
    more = f',"version":{quoted(version)}' if version else ""
    if attributes:
        more += f',"attributes":{attributes_json(attributes)}'
    return f'{{"scope":{{"name":{quoted(name)}{more}}},"spans":[{",".join(spans)}]{_schema(url)}}}'


def span(
    ids: tuple[int, int, int], name: str, kind: int, start_ns: int, end_ns: int,
    attributes: Mapping[str, Any] | None, more: str = "", *, remote_parent: bool = False, say: Say | None = None,
) -> str:  # fmt: skip
    """Return one span. `ids`: of the trace, the span and its parent (0: none); `kind`: OTLP's number; times: ns since
    the epoch; `more`: further fields, each with a comma before it; `say`: of a key, what quotes the texts under it."""
    trace_id, span_id, parent_id = ids
    parent = f'"parentSpanId":"{parent_id:016x}",' if parent_id else ""
    flags = _HAS_IS_REMOTE | _IS_REMOTE if remote_parent else _HAS_IS_REMOTE
    return (
        f'{{"traceId":"{trace_id:032x}","spanId":"{span_id:016x}",{parent}"flags":{flags},"name":{quoted(name)},'
        f'"kind":{kind},"startTimeUnixNano":"{start_ns}","endTimeUnixNano":"{end_ns}"'
        f"{fields(attributes, say)}{more}}}"
    )


def link(trace_id: int, span_id: int, attributes: Mapping[str, Any] | None, *, remote: bool = False) -> str:
    """Return one link of a span."""
    flags = _HAS_IS_REMOTE | _IS_REMOTE if remote else _HAS_IS_REMOTE
    return f'{{"traceId":"{trace_id:032x}","spanId":"{span_id:016x}"{fields(attributes)},"flags":{flags}}}'


def event(name: str, time_ns: int, attributes: Mapping[str, Any] | None) -> str:
    """Return one event of a span."""
    return f'{{"timeUnixNano":"{time_ns}","name":{quoted(name)}{fields(attributes)}}}'


def fields(attributes: Mapping[str, Any] | None, say: Say | None = None) -> str:
    """Return the field of attributes with a comma before it, or "" where there are none."""
    return f',"attributes":{attributes_json(attributes, say)}' if attributes else ""


def attributes_json(attributes: Mapping[str, Any], say: Say | None = None) -> str:
    """Return a list of keys and values. A value that OTLP has no form for is told by its type alone."""
    if say is None:
        return f"[{','.join([f'{_key(key)}{_value(value)}}}' for key, value in attributes.items()])}]"
    parts = [
        f'{_key(key)}{{"intValue":"{value}"}}}}' if type(value) is int
        else f'{_key(key)}{{"stringValue":{say(key)(value)}}}}}' if type(value) is str
        else f"{_key(key)}{_value(value, say(key))}}}"
        for key, value in attributes.items()
    ]  # fmt: skip
    return f"[{','.join(parts)}]"


@lru_cache(maxsize=1024)
def _key(key: str) -> str:
    return f'{{"key":{quoted(key)},"value":'


def _value(value: Any, quote: Quote = quoted) -> str:
    kind = type(value)
    if kind is str:
        return f'{{"stringValue":{quote(value)}}}'
    if kind is int:
        return f'{{"intValue":"{value}"}}'
    if kind is tuple or kind is list:
        return f'{{"arrayValue":{{"values":[{",".join([_value(one, quote) for one in value])}]}}}}'
    return _rare_value(value, quote)


def _rare_value(value: Any, quote: Quote) -> str:
    match value:
        case bool():
            return f'{{"boolValue":{"true" if value else "false"}}}'
        case float():
            return f'{{"doubleValue":{_number(float(value))}}}'
        case int():
            return f'{{"intValue":"{int(value)}"}}'
        case str():
            return f'{{"stringValue":{quote(value)}}}'
        case None:
            return "{}"
        case bytes():
            return f'{{"bytesValue":"{base64.b64encode(value).decode()}"}}'
        case Mapping():
            return f'{{"kvlistValue":{{"values":{attributes_json({str(key): one for key, one in value.items()})}}}}}'
        case Sequence():
            return f'{{"arrayValue":{{"values":[{",".join([_value(one, quote) for one in value])}]}}}}'
    return f'{{"stringValue":{quoted(f"({type(value).__name__})")}}}'


def _number(value: float) -> str:
    if math.isfinite(value):
        return float.__repr__(value)
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def _schema(url: str) -> str:
    return f',"schemaUrl":{quoted(url)}' if url else ""
