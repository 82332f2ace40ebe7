"""Creates SDK spans from the records, and ends them. `Tracer.start_span` takes some 60 µs to check what is known to
be valid: with whywait's own provider and processors, and the SDK's default sampler and limits, a span is passed on in
its ended state."""

import os
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from whywait.tracer.export import sdk_internals
from whywait.tracer.export.host_provider import OwnIds
from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.records.request import Request
from whywait.tracer.schema import PROVISIONAL
from whywait.tracer.spans.attribute_groups import Attributes, span_hex
from whywait.tracer.spans.attributes import attributes_of
from whywait.tracer.spans.span_spec import AboutRequest, SpanSpec

_SDK_METRICS = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"  # versions before 1.43 have neither the name nor the metrics
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status(StatusCode.UNSET)
_KINDS = {
    "internal": SpanKind.INTERNAL, "producer": SpanKind.PRODUCER, "consumer": SpanKind.CONSUMER,
    "server": SpanKind.SERVER,
}  # fmt: skip


class PresetIds(OwnIds):
    """Gives the SDK the ids that the host's spans already have as parents."""

    def __init__(self) -> None:
        self.trace_id = 0
        self.span_id = 0

    def generate_span_id(self) -> int:
        """Return the id that was set last, else a new one."""
        return self.span_id or super().generate_span_id()

    def generate_trace_id(self) -> int:
        """Return the id that was set last, else a new one."""
        return self.trace_id or super().generate_trace_id()


class SpanMaker:
    """Creates spans through one tracer. Call `look` before each batch, `make` for each span."""

    def __init__(self, provider: TracerProvider, tracer: SdkTracer, *, is_ours: bool) -> None:
        """`is_ours`: whywait created the provider, and it has all of whywait's processors and no others."""
        self._provider = provider
        self._tracer = tracer
        self._ids = PresetIds()
        tracer.id_generator = self._ids
        self._most_attributes = _most_attributes(sdk_internals.limits_of(tracer)) if is_ours else 0
        if tracer.sampler is not DEFAULT_ON or os.environ.get(_SDK_METRICS):
            self._most_attributes = 0
        self._listeners = sdk_internals.processors(provider)
        self._scope = sdk_internals.scope_of(tracer)
        self._alone = False

    def look(self) -> None:
        """Check whether other processors were added meanwhile."""
        self._alone = self.is_alone()

    def is_alone(self) -> bool:
        """Return whether only processors of ours hear of spans, and every span is made."""
        return (
            self._most_attributes > 0
            and sdk_internals.is_enabled(self._tracer)
            and all(one in self._listeners for one in sdk_internals.processors(self._provider))
        )

    def make(self, spec: SpanSpec, unix_ns: Callable[[int], int]) -> None:
        """Create the span and end it; `unix_ns` converts a clock reading to wall-clock time."""
        start_ns, end_ns = spec.start_ns, spec.end_ns
        if not spec.unix:
            start_ns, end_ns = unix_ns(start_ns), unix_ns(end_ns)
        if spec.not_after_unix_ns:
            end_ns = min(end_ns, spec.not_after_unix_ns)
        end_ns = max(end_ns, start_ns)
        links = [Link(SpanContext(t, i, False, _SAMPLED)) for t, i in spec.links]
        attributes = attributes_of(spec.about)
        if spec.provisional:
            attributes[PROVISIONAL] = span_hex(spec.provisional)
        # the sampler decides on every root, and it checks what the service has set itself
        is_plain = spec.parent_id and not isinstance(spec.about, AboutRequest)
        if self._alone and is_plain and len(attributes) < self._most_attributes:
            self._hand_over(spec, start_ns, end_ns, attributes, links)
        else:
            self._make(spec, start_ns, end_ns, attributes, links)

    def _hand_over(self, spec: SpanSpec, start_ns: int, end_ns: int, attributes: Attributes, links: list[Link]) -> None:
        if spec.error:
            attributes["error.type"] = spec.error
        span = ReadableSpan(
            name=spec.name, context=SpanContext(spec.trace_id, spec.span_id, False, _SAMPLED),
            parent=SpanContext(spec.trace_id, spec.parent_id, False, _SAMPLED),
            resource=self._tracer.resource, attributes=attributes, links=links, kind=_KINDS[spec.kind],
            status=Status(StatusCode.ERROR) if spec.error else _UNSET, start_time=start_ns, end_time=end_ns,
            instrumentation_scope=self._scope,
        )  # fmt: skip
        self._tracer.span_processor.on_end(span)

    def _make(self, spec: SpanSpec, start_ns: int, end_ns: int, attributes: Attributes, links: list[Link]) -> None:
        self._ids.trace_id, self._ids.span_id = spec.trace_id, spec.span_id
        if spec.parent_id:
            parent = SpanContext(spec.trace_id, spec.parent_id, False, _SAMPLED)
            context = trace.set_span_in_context(NonRecordingSpan(parent))
        else:
            context = trace.set_span_in_context(trace.INVALID_SPAN)
        span = self._tracer.start_span(
            spec.name, context, _KINDS[spec.kind], attributes=attributes, links=links, start_time=start_ns,
        )  # fmt: skip
        if spec.error:
            span.set_attribute("error.type", spec.error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_ns)


def gets_own_span(provider: TracerProvider, recorder: Recorder, request: Request, *, is_ours: bool) -> bool:
    """Return whether a request that has no SERVER span gets one: not where the service's sampler, or what it excludes,
    may be the reason."""
    if is_ours and provider.sampler is DEFAULT_ON:
        return True
    if request.own_span is None or (recorder.claimed and request.own_span.kind == "server"):
        return False
    if request.own_span.parent_id:
        return True  # its caller decided
    asked = provider.sampler.should_sample(None, request.trace_id, request.name, _KINDS[request.own_span.kind])
    return asked.decision is Decision.RECORD_AND_SAMPLE


def _most_attributes(limits: SpanLimits) -> int:
    """How many attributes a span may have within the SDK's limits; 0 if the values are limited."""
    if limits.max_span_attribute_length is not None:
        return 0
    return limits.max_span_attributes or 0
