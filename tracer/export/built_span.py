"""A span of ours on its way to the exporters: the file's line says it directly, for a collector it becomes the SDK's."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
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


class ToCollector(SpanExporter):
    """Passes spans of the SDK to `exporter`, without secrets if there is a `redaction`."""

    def __init__(self, exporter: SpanExporter, redaction: Redaction | None) -> None:
        self._exporter = exporter
        self._redaction = redaction

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        found = [one.readable() if isinstance(one, BuiltSpan) else one for one in spans]
        redaction = self._redaction
        return self._exporter.export(found if redaction is None else list(map(redaction.without_secrets, found)))

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


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
