"""OpenTelemetry's global tracer provider: the service's if it has one, else one of whywait from `start` to `stop`."""

import os
import platform
import shlex
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from whywait import __version__
from whywait.tracer import schema
from whywait.tracer.config import REDACT_NOTHING, REDACT_SECRETS, Config, ConfigError, output_file
from whywait.tracer.export import sdk_internals
from whywait.tracer.export.collector import ToCollector, collector_exporter
from whywait.tracer.export.host_provider import OwnIds, provider_of_host
from whywait.tracer.export.span_lines import BuiltSpan, line_of
from whywait.tracer.export.span_queue import SpanQueue
from whywait.tracer.export.trace_file import TraceFile
from whywait.tracer.host.names.app_name import app_name, program_name
from whywait.tracer.hotpath.recorder import Recorder, logger
from whywait.tracer.keeping.trace_verdicts import Gate
from whywait.tracer.redaction.spans import Redaction

# how long `stop` waits at most for spans that are still queued
_FILE_STOP_S = 30.0
_COLLECTOR_STOP_S = 10.0
_GONE: Final = "oldest trace file, over WHYWAIT_OUTPUT_MAX_MB"
_NOT_ENCODED: Final = "whywait: could not encode spans, which are dropped and counted: %r"
_NOT_WRITTEN: Final = (
    "whywait: could not write its traces: %s. Until it can, spans are dropped and counted. Free some space, let this "
    "process's user write there, or choose another output."
)


def obtain(
    config: Config, recorder: Recorder, told: Callable[[], None]
) -> tuple[TracerProvider, bool, list[SpanQueue]]:
    """Return the provider, whether whywait made it, and the queues added to it. `told` is called once if the service
    sets its own later. Raises `ForeignProvider`."""
    host = provider_of_host()
    if host is not None:
        return host, False, []
    provider = sdk_internals.OwnTracerProvider(
        resource=_resource(config), shutdown_on_exit=False, id_generator=OwnIds()
    )
    exporter = collector_exporter(os.environ)
    queues: list[SpanQueue] = []
    if exporter is not None:
        exporter = ToCollector(exporter, _redaction(config))
        queues.append(SpanQueue(exporter, "the collector", recorder, part=64, stop_s=_COLLECTOR_STOP_S))
        provider.add_span_processor(gated(queues[0], recorder))
    sdk_internals.place_tracer_provider(provider, told)
    return provider, True, queues


def release(provider: TracerProvider | None = None) -> None:
    """Restore the global provider to its state before `obtain`, unless the service has set its own since."""
    if provider is None or sdk_internals.is_global(provider):
        sdk_internals.forget_tracer_provider()


def move(ours: TracerProvider, host: TracerProvider, own: SdkTracer, added: list[SpanProcessor]) -> list[SpanProcessor]:
    """Give way to the service's provider. `added` are whywait's processors, `own` its tracer; what the service had
    added to whywait's provider moves too, and is returned."""
    theirs = [
        one for one in sdk_internals.processors(ours) if one not in added and not isinstance(one, Gate | SpanQueue)
    ]
    for one in (*added, *theirs):
        host.add_span_processor(one)
    sdk_internals.redirect(ours, host, own)
    return theirs


def release_after_fork(
    providers: Sequence[TracerProvider], processors: list[SpanProcessor], queues: Sequence[SpanQueue], *, ours: bool
) -> None:
    """In a forked child: drop whywait's provider, or remove whywait's processors from the host's. No lock is
    acquired, since its holder may not exist here."""
    for queue in queues:
        queue.abandon()
    if ours:
        release(providers[0])
    else:
        for provider in providers:
            sdk_internals.remove_processors_without_lock(provider, processors)


def file_queue(output: Path, bound_bytes: int, recorder: Recorder) -> SpanQueue:
    """Write spans into this process's OTLP JSON Lines file. Raises `ConfigError` if it cannot be created."""
    path = output_file(output, os.getpid())
    if recorder.config.output_gzip:
        path = path.with_name(f"{path.name}.gz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = TraceFile(path, bound_bytes, lambda count: recorder.lose(_GONE, count) if count else None)
    except OSError as error:
        raise ConfigError(f"cannot write traces to {path}: {error.strerror}; choose another output") from error
    return SpanQueue(
        _ToFile(file, recorder), f"the file {path.name}", recorder, part=32, stop_s=_FILE_STOP_S,
        let_go=file.close,
    )  # fmt: skip


def gated(queue: SpanQueue, recorder: Recorder) -> SpanProcessor:
    """Return the processor to attach for a queue: the queue, or a gate before it under tail sampling."""
    return queue if recorder.gates is None else Gate(queue, recorder.gates)


class _ToFile(SpanExporter):
    """OTLP JSON Lines."""

    def __init__(self, file: TraceFile, recorder: Recorder) -> None:
        self._file = file
        self._recorder = recorder
        self._redaction = _redaction(recorder.config)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a line; log the system's answer at the first line that cannot be written."""
        if self._file.closed:
            return SpanExportResult.FAILURE
        failed_before = self._file.error is not None
        sound = list(filter(_is_sound, spans))
        if len(sound) < len(spans):
            self._recorder.lose("odd span", len(spans) - len(sound))
            if not sound:
                return SpanExportResult.SUCCESS
        try:
            line = line_of(sound, self._redaction)
        except Exception as error:  # of a value that OTLP cannot say
            logger.warning(_NOT_ENCODED, error)
            return SpanExportResult.FAILURE
        self._file.write(f"{line}\n")
        if self._file.error is None:
            return SpanExportResult.SUCCESS
        if not failed_before:
            logger.warning(_NOT_WRITTEN, self._file.error.strerror)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self._file.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True  # nothing is buffered


def _redaction(config: Config) -> Redaction | None:
    return None if config.redact == REDACT_NOTHING else Redaction(keep_parameters=config.redact == REDACT_SECRETS)


def _is_sound(span: ReadableSpan) -> bool:
    """Whether OTLP can encode a span of the service. The SDK accepts names and times of other types, which would
    fail the whole batch or produce an unreadable line."""
    if isinstance(span, BuiltSpan):
        return True
    times = (span.start_time, span.end_time, *(event.timestamp for event in span.events))
    return isinstance(span.name, str) and all(isinstance(time_ns, int) for time_ns in times)


def _address() -> str:
    """Return this host's address, by which Jaeger knows that spans share a clock: a request's task may begin before its
    SERVER span."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # for documentation only: sends nothing, and finds the way out
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def _resource(config: Config) -> Resource:
    attributes: dict[str, str | int] = {"host.name": socket.gethostname(), "process.pid": os.getpid(), "ip": _address()}
    attributes[schema.RUN] = _run(whole=config.redact == REDACT_NOTHING)
    name = config.service_name or os.environ.get("OTEL_SERVICE_NAME")
    if name is None and "service.name" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        name = app_name()
    if name:
        attributes["service.name"] = name
    return Resource.create(attributes)


def _run(*, whole: bool) -> str:
    """Return what runs here: the program, or its `whole` command line; and the versions."""
    program = shlex.join(sys.orig_argv) if whole else program_name()
    implementation = platform.python_implementation()
    return ", ".join(filter(None, (program, f"{implementation} {platform.python_version()}", f"whywait {__version__}")))
