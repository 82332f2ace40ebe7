"""OpenTelemetry's global tracer provider: the host's if it has one, else ours for as long as we trace."""

import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tracer.config import Config, ConfigError, output_file
from tracer.gate import Gate
from tracer.recorder import Recorder

_QUEUE = 65_536
_BATCH = 2_048
_PAUSE_S = 0.002
_PAUSE_ALONE_S = 0.0002  # while no request is open


class ForeignProvider(Exception):
    """The host's tracer provider is not the SDK's, so spans cannot go through it."""


def obtain(config: Config, recorder: Recorder) -> tuple[TracerProvider, bool]:
    """The provider to use, and whether it is ours to shut down.

    Raises `ForeignProvider`, or `ConfigError` when the output cannot be written.
    """
    current = trace.get_tracer_provider()
    if isinstance(current, TracerProvider):
        return current, False
    if not isinstance(current, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        raise ForeignProvider(f"{type(current).__module__}.{type(current).__qualname__}")
    provider = TracerProvider(resource=_resource(config), shutdown_on_exit=False)
    if _wants_otlp(os.environ):
        provider.add_span_processor(_exporting(OTLPSpanExporter(), 64, recorder))
    trace.set_tracer_provider(provider)
    return provider, True


def release() -> None:
    """Makes the global provider what it was before `obtain` set ours."""
    # there is no public way back, and a provider left behind would keep FastAPI making spans
    trace._TRACER_PROVIDER = None
    trace._TRACER_PROVIDER_SET_ONCE = type(trace._TRACER_PROVIDER_SET_ONCE)()


def release_after_fork(provider: TracerProvider, processors: Sequence[SpanProcessor], *, ours: bool) -> None:
    """In a forked child: lets go of our provider, or takes our processors out of the host's. No lock is
    taken, since its owner may not exist here."""
    if ours:
        release()
        return
    active: Any = provider._active_span_processor
    active._span_processors = tuple(one for one in active._span_processors if one not in processors)


def attach(provider: TracerProvider, processor: SpanProcessor) -> Callable[[], None]:
    """Adds a processor; returns the undo."""
    provider.add_span_processor(processor)

    def undo() -> None:
        active: Any = provider._active_span_processor
        with active._lock:
            active._span_processors = tuple(one for one in active._span_processors if one is not processor)

    return undo


def file_processor(output: Path, recorder: Recorder) -> SpanProcessor:
    """Batches spans into this process's OTLP JSON Lines file; raises `ConfigError` if it cannot be made."""
    path = output_file(output, os.getpid())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        exporter = FileSpanExporter(path)
    except OSError as error:
        raise ConfigError(
            f"cannot write traces to {path}: {error.strerror}; choose another output"
        ) from error
    return _exporting(exporter, 16, recorder)


def _exporting(exporter: SpanExporter, slice_size: int, recorder: Recorder) -> SpanProcessor:
    processor = _batching(_InSlices(exporter, slice_size, recorder.is_busy))
    return processor if recorder.gates is None else Gate(processor, recorder.gates)


def _batching(exporter: SpanExporter) -> SpanProcessor:
    """The SDK's batch processor, with room for a burst of requests; OTEL_BSP_* still rule."""
    if any(name.startswith("OTEL_BSP_") for name in os.environ):
        return BatchSpanProcessor(exporter)
    return BatchSpanProcessor(
        exporter, max_queue_size=_QUEUE, schedule_delay_millis=1_000, max_export_batch_size=_BATCH
    )


class _InSlices(SpanExporter):
    """Encodes a batch in small parts with pauses between, so that nobody waits long for the GIL."""

    def __init__(self, exporter: SpanExporter, size: int, is_busy: Callable[[], bool]) -> None:
        self._exporter = exporter
        self._is_busy = is_busy
        self._size = size

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Called by the batch processor's thread."""
        result = SpanExportResult.SUCCESS
        for start in range(0, len(spans), self._size):
            if self._exporter.export(spans[start : start + self._size]) is not SpanExportResult.SUCCESS:
                result = SpanExportResult.FAILURE
            time.sleep(_PAUSE_S if self._is_busy() else _PAUSE_ALONE_S)
        return result

    def shutdown(self) -> None:
        """Ends the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flushes the exporter; true if it could."""
        return self._exporter.force_flush(timeout_millis)


def _wants_otlp(environ: Any) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "otlp").lower()
    named = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return exporter == "otlp" and bool(named)


def _resource(config: Config) -> Resource:
    attributes: dict[str, str | int] = {"host.name": socket.gethostname(), "process.pid": os.getpid()}
    name = config.service_name or os.environ.get("OTEL_SERVICE_NAME")
    if name is None and "service.name" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        name = "whywait"
    if name:
        attributes["service.name"] = name
    return Resource.create(attributes)
