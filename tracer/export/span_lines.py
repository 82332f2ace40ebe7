"""What stands in a line of a trace file: for a span of ours, which becomes one of the SDK for a collector only, and for the
service's own alike."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from whywait import otlp_json
from whywait.otlp_json import quoted
from whywait.secret_text import masked
from whywait.tracer.redaction.attributes import rule_of
from whywait.tracer.redaction.spans import Redaction
from whywait.tracer.spans.attribute_groups import Attributes
from whywait.tracer.spans.span_spec import Kind

SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
KINDS: Final[Mapping[Kind, SpanKind]] = {
    "internal": SpanKind.INTERNAL, "producer": SpanKind.PRODUCER, "consumer": SpanKind.CONSUMER,
    "server": SpanKind.SERVER,
}  # fmt: skip
_FAILED: Final = f',"status":{{"code":{StatusCode.ERROR.value}}}'


class BuiltSpan(NamedTuple):
    """One span in its ended state. For the SDK's queues it is its own span context."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int  # 0: none
    kind: Kind
    start_ns: int  # since the epoch, as the end
    end_ns: int
    attributes: Attributes
    links: tuple[tuple[int, int], ...]  # trace id and span id of each
    failed: bool
    of_service: bool  # its attributes are the service's own: any value may stand there
    resource: Resource
    instrumentation_scope: InstrumentationScope

    @property
    def trace_flags(self) -> TraceFlags:
        return SAMPLED

    @property
    def context(self) -> "BuiltSpan":
        return self

    def get_span_context(self) -> "BuiltSpan":
        """Return what has the span's ids and flags."""
        return self

    def readable(self) -> ReadableSpan:
        """Return the same as a span of the SDK."""
        parent = SpanContext(self.trace_id, self.parent_id, False, SAMPLED) if self.parent_id else None
        return ReadableSpan(
            name=self.name, context=SpanContext(self.trace_id, self.span_id, False, SAMPLED), parent=parent,
            resource=self.resource, attributes=self.attributes,
            links=[Link(SpanContext(*ids, False, SAMPLED)) for ids in self.links], kind=KINDS[self.kind],
            status=Status(StatusCode.ERROR if self.failed else StatusCode.UNSET), start_time=self.start_ns,
            end_time=self.end_ns, instrumentation_scope=self.instrumentation_scope,
        )  # fmt: skip

    def text(self, redaction: Redaction | None) -> str:
        """Return it as OTLP JSON."""
        more = _FAILED if self.failed else ""
        if self.links:
            more += f',"links":[{",".join([otlp_json.link(*ids, None) for ids in self.links])}]'
        attributes: Mapping[str, Any] = self.attributes
        name = self.name
        if redaction is not None:
            name = masked(name)
            if self.of_service:
                attributes = redaction.attributes(attributes)
        ids = self.trace_id, self.span_id, self.parent_id
        return otlp_json.span(
            ids, name, KINDS[self.kind].value + 1, self.start_ns, self.end_ns, attributes, more,
            say=None if redaction is None or self.of_service else _say,
        )  # fmt: skip


@lru_cache(1_024)
def _say(key: str) -> Callable[[str], str]:
    """How a text under this key is written into JSON, by the rules of `redaction`."""
    rule = rule_of(key)
    if rule is str:
        return quoted
    return _masked if rule is masked else lambda text: quoted(rule(text))


def _masked(text: str) -> str:
    return _masked_short(text) if len(text) < 200 else quoted(masked(text))


_masked_short: Final = lru_cache(4_096)(lambda text: quoted(masked(text)))  # names come again and again


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
