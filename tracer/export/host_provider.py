"""The service's own tracer provider: found, noticed when it comes after whywait's, and given what whywait adds. It
then is the global one, as without whywait; tracers that whywait's gave out continue on it."""

from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator

from whywait.tracer.records.ids import new_span_id, new_trace_id

_NONE: Final = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)


class ForeignProvider(Exception):
    """The host's tracer provider is not the SDK's, so whywait cannot use it."""


def provider_of_host() -> TracerProvider | None:
    """Return the global SDK provider, also that within a stand-in such as Logfire's; None if nobody set one. Raises
    `ForeignProvider` for one without span processors, as ddtrace's."""
    current = trace.get_tracer_provider()
    for found in (current, getattr(current, "provider", None)):
        if isinstance(found, TracerProvider):
            return found
    if isinstance(current, _NONE) or isinstance(getattr(current, "provider", None), _NONE):
        return None
    raise ForeignProvider(
        f"the global tracer provider is {type(current).__module__}.{type(current).__qualname__}; whywait needs "
        "OpenTelemetry's SDK provider or none"
    )


class OwnIds(IdGenerator):
    """Ids from whywait's own random stream: a service may seed the global one, which repeats the SDK's ids."""

    def generate_span_id(self) -> int:
        return new_span_id()

    def generate_trace_id(self) -> int:
        return new_trace_id()

    def is_trace_id_random(self) -> bool:
        """Called by the SDK for the flag in `traceparent`."""
        return True


class Lent(SpanProcessor):
    """A processor of whywait at a provider of the service: only the session shuts it down, since services do so
    before their last requests are exported, and Logfire at every `configure`."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._processor = processor

    def on_end(self, span: ReadableSpan) -> None:
        self._processor.on_end(span)

    def shutdown(self) -> None:
        """Called by the service's provider: write what is queued, since the process may end next."""
        self._processor.force_flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._processor.force_flush(timeout_millis)
