"""Pure: spans as one line of OTLP JSON, as the SDK's encoder writes it, at a fourth of its price.

That encoder makes a message object for each attribute, then a dict of each, then text: 25 to 60 µs of the GIL
for a span of ten attributes, and who traces everything writes fifty of them for a request. What nearly all spans
consist of is put into text here; any other span is the encoder's (`tests/tracer/test_span_lines.py`
compares the two).
"""

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Final

from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode

_MOST_KEYS: Final = 4_096  # whose text is kept; the host may make up keys without end
_KINDS: Final = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.PRODUCER: 4,
    SpanKind.CONSUMER: 5,
}
_LOCAL, _REMOTE = 0x100, 0x300  # flags: it is known whether the parent is remote; it is
_keys: dict[str, str] = {}


class _Unusual(Exception):
    """Something that is not put into text here."""


def line_of(spans: Sequence[ReadableSpan]) -> str:
    """One line, with its end; "" for no spans. Raises what the SDK's encoder raises for what it cannot encode."""
    resources: dict[int, dict[int, tuple[ReadableSpan, list[str]]]] = {}
    for span in spans:
        scopes = resources.setdefault(id(span.resource), {})
        key = id(span.instrumentation_scope)
        group = scopes.get(key)
        if group is None:
            group = scopes[key] = (span, [])
        group[1].append(_span(span))
    if not resources:
        return ""
    told = [_resource(list(scopes.values())) for scopes in resources.values()]
    return '{"resourceSpans":[' + ",".join(told) + "]}\n"


def _resource(scopes: Sequence[tuple[ReadableSpan, list[str]]]) -> str:
    texts: list[str] = []
    around: dict[str, Any] = {}
    for first, spans in scopes:
        (around,) = _encoded(first)
        (scope,) = around.pop("scopeSpans")
        del scope["spans"]
        texts.append(_with(scope, "spans", spans))
    return _with(around, "scopeSpans", texts)


def _with(message: Mapping[str, Any], key: str, texts: Sequence[str]) -> str:
    start = _dumped(message)[:-1] + ("," if message else "")
    return f'{start}"{key}":[{",".join(texts)}]}}'


def _encoded(span: ReadableSpan) -> list[Any]:
    found: list[Any] = encode_spans([span]).to_dict()["resourceSpans"]
    return found


def _dumped(message: Any) -> str:
    return json.dumps(message, separators=(",", ":"))


def _span(span: ReadableSpan) -> str:
    try:
        return _plain_span(span)
    except _Unusual:
        return _dumped(_encoded(span)[0]["scopeSpans"][0]["spans"][0])


def _plain_span(span: ReadableSpan) -> str:
    context, parent, name = span.get_span_context(), span.parent, span.name
    if context is None or context.trace_state or not (name and span.start_time and span.end_time):
        raise _Unusual
    if span.events or span.dropped_events or span.dropped_attributes or span.dropped_links:
        raise _Unusual
    parts = [f'{{"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}"']
    if parent is not None:
        parts.append(f'"parentSpanId":"{parent.span_id:016x}"')
    parts.append(f'"flags":{_flags(parent)},"name":{quoted(name)},"kind":{_KINDS[span.kind]}')
    parts.append(f'"startTimeUnixNano":"{span.start_time}","endTimeUnixNano":"{span.end_time}"')
    attributes = span.attributes
    if attributes:
        told = []
        for key, value in attributes.items():
            text = _keys.get(key) or _key(key)
            if type(value) is str:
                told.append(f'{text}{{"stringValue":{quoted(value)}}}}}')
            elif type(value) is int:
                told.append(f'{text}{{"intValue":"{value}"}}}}')
            else:
                told.append(f"{text}{_value(value)}}}")
        parts.append(f'"attributes":[{",".join(told)}]')
    links = span.links
    if links:
        parts.append(f'"links":[{",".join(map(_link, links))}]')
    parts.append(f'"status":{_status(span)}}}')
    return ",".join(parts)


def _flags(parent: SpanContext | None) -> int:
    return _REMOTE if parent is not None and parent.is_remote else _LOCAL


def _status(span: ReadableSpan) -> str:
    status = span.status
    if status.description:
        raise _Unusual
    return "{}" if status.status_code is StatusCode.UNSET else f'{{"code":{status.status_code.value}}}'


def _link(link: Link) -> str:
    if link.attributes or link.dropped_attributes:
        raise _Unusual
    context = link.context
    ids = f'"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}"'
    return f'{{{ids},"flags":{_flags(context)}}}'


def _key(key: Any) -> str:
    if type(key) is not str or not key:
        raise _Unusual
    text = f'{{"key":{quoted(key)},"value":'
    if len(_keys) < _MOST_KEYS:
        _keys[key] = text
    return text


def _value(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return f'{{"stringValue":{quoted(value)}}}'
    if kind is int:
        return f'{{"intValue":"{value}"}}'
    if kind is bool:
        return '{"boolValue":true}' if value else '{"boolValue":false}'
    if kind is tuple or kind is list:
        if not value:
            raise _Unusual
        return f'{{"arrayValue":{{"values":[{",".join(map(_value, value))}]}}}}'
    raise _Unusual
