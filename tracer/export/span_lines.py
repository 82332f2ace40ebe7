"""What stands in a line of a trace file for spans of the SDK, ours and the service's own alike."""

from collections.abc import Iterable, Sequence
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind, StatusCode

from whywait import otlp_json
from whywait.tracer.export.built_span import BuiltSpan
from whywait.tracer.redaction.spans import Redaction

_KIND: Final = {kind: kind.value + 1 for kind in SpanKind}  # OTLP keeps 0 for "unspecified"
_NONE: Final = InstrumentationScope("")


def line_of(spans: Sequence[ReadableSpan | BuiltSpan], redaction: Redaction | None = None) -> str:
    """Return one OTLP document without a line break, and without secrets if there is a `redaction`."""
    resources: dict[Resource, dict[InstrumentationScope, list[str]]] = {}
    known: dict[tuple[int, int], list[str]] = {}  # by identity: a resource's hash is that of its whole JSON text
    if redaction is not None:
        spans = [one if isinstance(one, BuiltSpan) else redaction.without_secrets(one) for one in spans]
    for span in spans:
        resource, scope = span.resource, span.instrumentation_scope or _NONE
        texts = known.get((id(resource), id(scope)))
        if texts is None:
            if redaction is not None and isinstance(span, BuiltSpan):
                resource = redaction.resource(resource)
            texts = known[id(span.resource), id(scope)] = resources.setdefault(resource, {}).setdefault(scope, [])
        texts.append(span.text(redaction) if isinstance(span, BuiltSpan) else _text(span))
    return otlp_json.line(
        (resource.attributes, resource.schema_url, [_scope(one, texts) for one, texts in scopes.items()])
        for resource, scopes in resources.items()
    )


def _scope(scope: InstrumentationScope, spans: Iterable[str]) -> str:
    return otlp_json.scope(scope.name, scope.version, scope.attributes, scope.schema_url or "", spans)


def _text(span: ReadableSpan) -> str:
    context, parent = span.context, span.parent
    ids = (context.trace_id if context else 0, context.span_id if context else 0, parent.span_id if parent else 0)
    return otlp_json.span(
        ids, span.name, _KIND[span.kind], span.start_time or 0, span.end_time or 0, span.attributes, _more(span),
        remote_parent=parent is not None and parent.is_remote,
    )  # fmt: skip


def _more(span: ReadableSpan) -> str:
    status = span.status
    parts = []
    if status.status_code is not StatusCode.UNSET:
        message = f',"message":{otlp_json.quoted(status.description)}' if status.description else ""
        parts.append(f',"status":{{"code":{status.status_code.value}{message}}}')
    if span.events:
        events = (otlp_json.event(one.name, one.timestamp, one.attributes) for one in span.events)
        parts.append(f',"events":[{",".join(events)}]')
    if span.links:
        links = (
            otlp_json.link(one.context.trace_id, one.context.span_id, one.attributes, remote=one.context.is_remote)
            for one in span.links
        )
        parts.append(f',"links":[{",".join(links)}]')
    if span.context and span.context.trace_state:
        parts.append(f',"traceState":{otlp_json.quoted(span.context.trace_state.to_header())}')
    parts += [
        f',"{name}":{number}'
        for name, number in (
            ("droppedAttributesCount", span.dropped_attributes),
            ("droppedEventsCount", span.dropped_events),
            ("droppedLinksCount", span.dropped_links),
        )
        if number
    ]
    return "".join(parts)
