"""Writes spans that the analysis created, as OTLP JSON Lines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any, Final

from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags

_BATCH: Final = 512


@dataclass(frozen=True, slots=True)
class NewSpan:
    """A span to be written; ids are lower-case hex, times nanoseconds since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str  # "" for a root
    name: str
    start_ns: int
    end_ns: int
    resource: Mapping[str, str]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()


def write_spans(spans: Iterable[NewSpan], scope: str, stream: IO[str]) -> int:
    """Write the spans, some hundreds per line, and return their number."""
    exporter = FileSpanExporter(stream=stream)
    resources: dict[tuple[tuple[str, str], ...], Resource] = {}
    instrumentation, waiting, count = InstrumentationScope(scope), iter(spans), 0
    while batch := list(islice(waiting, _BATCH)):
        exporter.export([_readable(one, resources, instrumentation) for one in batch])
        count += len(batch)
    return count


def _readable(
    span: NewSpan, resources: dict[tuple[tuple[str, str], ...], Resource], scope: InstrumentationScope
) -> ReadableSpan:
    key = tuple(sorted(span.resource.items()))
    if key not in resources:
        resources[key] = Resource(dict(key))
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
        resource=resources[key],
        attributes=dict(span.attributes),
        links=[Link(_context(trace_id, span_id)) for trace_id, span_id in span.links],
        kind=SpanKind.INTERNAL,
        instrumentation_scope=scope,
        start_time=span.start_ns,
        end_time=span.end_ns,
    )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(1))
