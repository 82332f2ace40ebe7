"""Passes spans on in their ended state. `Tracer.start_span` takes some 60 µs to check what is known to be valid: spans of
the SDK are created only where the provider or a processor is the service's, or its sampler or limits are not the
SDK's own."""

import os
from collections.abc import Callable
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode

from whywait.tracer.export import sdk_internals
from whywait.tracer.export.host_provider import Lent, OwnIds
from whywait.tracer.export.span_lines import KINDS, SAMPLED, BuiltSpan
from whywait.tracer.export.span_queue import SpanQueue
from whywait.tracer.host.native.native_core import untracked
from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.keeping.trace_verdicts import Gate
from whywait.tracer.records.request import Request, made
from whywait.tracer.schema import PROVISIONAL
from whywait.tracer.spans.attribute_groups import Attributes, span_hex
from whywait.tracer.spans.attributes import attributes_of
from whywait.tracer.spans.span_spec import AboutRequest, SpanSpec

_SDK_METRICS = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"  # versions before 1.43 have neither the name nor the metrics
_PLAIN: Final = frozenset((str, int, float, bool))  # types of values


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
        self._heard_by, self._only_ours = self._listeners, True
        # `RequestRoots` ignores spans of ours
        self._takers = [one for one in self._listeners if isinstance(one, Gate | Lent | SpanQueue)]
        self._scope = sdk_internals.scope_of(tracer)
        self._alone = False
        self._hear_all: Any = tracer.span_processor
        self._hear_rest: Any = self._hear_all  # what is no request's own span

    def look(self) -> None:
        """Check whether other processors were added meanwhile. One of the service's that sends each span as it ends would
        be asked thousands of times: where whywait has an output of its own, it hears of requests only."""
        self._alone = self.is_alone()
        if self._takers and not self._alone:
            self._hear_rest = sdk_internals.without_blocking(self._provider)

    def is_alone(self) -> bool:
        """Return whether only processors of ours hear of spans, and every span is made. Each request asks."""
        listeners = sdk_internals.processors(self._provider)  # a tuple that the provider replaces
        if listeners is not self._heard_by:
            self._heard_by, self._only_ours = listeners, all(one in self._listeners for one in listeners)
        return self._only_ours and self._most_attributes > 0 and sdk_internals.is_enabled(self._tracer)

    def make(self, spec: SpanSpec, unix_ns: Callable[[int], int]) -> None:
        """Create the span and end it; `unix_ns` converts a clock reading to wall-clock time."""
        start_ns, end_ns = spec.start_ns, spec.end_ns
        if not spec.unix:
            start_ns, end_ns = unix_ns(start_ns), unix_ns(end_ns)
        if spec.not_after_unix_ns:
            end_ns = min(end_ns, spec.not_after_unix_ns)
        end_ns = max(end_ns, start_ns)
        attributes = attributes_of(spec.about)
        if spec.provisional:
            attributes[PROVISIONAL] = span_hex(spec.provisional)
        of_service = isinstance(spec.about, AboutRequest)
        is_plain = not of_service or _PLAIN.issuperset(map(type, attributes.values()))  # else the SDK checks them
        if not self._alone or not is_plain or len(attributes) >= self._most_attributes:
            self._make(spec, start_ns, end_ns, attributes)
            return
        if spec.error:
            attributes["error.type"] = spec.error
        for value in attributes.values():  # a second's spans wait to be written: the collector need not walk over them
            if type(value) is list:
                untracked(value)
        built = untracked(made(BuiltSpan, (
            spec.name, spec.trace_id, spec.span_id, spec.parent_id, spec.kind, start_ns, end_ns, untracked(attributes), spec.links,
            bool(spec.error), of_service, self._tracer.resource, self._scope,
        )))  # fmt: skip
        for one in self._takers:
            one.on_end(built)

    def _make(self, spec: SpanSpec, start_ns: int, end_ns: int, attributes: Attributes) -> None:
        self._ids.trace_id, self._ids.span_id = spec.trace_id, spec.span_id
        if spec.parent_id:
            parent = SpanContext(spec.trace_id, spec.parent_id, False, SAMPLED)
            context = trace.set_span_in_context(NonRecordingSpan(parent))
        else:
            context = trace.set_span_in_context(trace.INVALID_SPAN)
        of_service = isinstance(spec.about, AboutRequest)
        self._tracer.span_processor = self._hear_all if of_service else self._hear_rest
        span = self._tracer.start_span(
            spec.name, context, KINDS[spec.kind], attributes=attributes,
            links=[Link(SpanContext(*ids, False, SAMPLED)) for ids in spec.links], start_time=start_ns,
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
    asked = provider.sampler.should_sample(None, request.trace_id, request.name, KINDS[request.own_span.kind])
    return asked.decision is Decision.RECORD_AND_SAMPLE


def _most_attributes(limits: SpanLimits) -> int:
    """How many attributes a span may have within the SDK's limits; 0 if the values are limited."""
    if limits.max_span_attribute_length is not None:
        return 0
    return limits.max_span_attributes or 0
