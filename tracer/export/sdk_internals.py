"""Every private name of OpenTelemetry's SDK that whywait uses, where the public interface is not enough."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import SystemRandom
from threading import Lock
from typing import Any, Final, TypeVar
from weakref import WeakSet

from opentelemetry import metrics, trace
from opentelemetry.sdk._shared_internal import BatchProcessor
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util._once import Once

from whywait.tracer.host.own_thread import hide

needs: Final = (
    "opentelemetry.exporter.otlp.common.http._OTLPHTTPClient._compute_backoff",
    "opentelemetry.metrics._internal._METER_PROVIDER",
    "opentelemetry.metrics._internal._METER_PROVIDER_SET_ONCE",
    "opentelemetry.sdk._shared_internal.BatchProcessor._at_fork_reinit",
    "opentelemetry.sdk._shared_internal.BatchProcessor._schedule_delay",
    "opentelemetry.sdk._shared_internal.BatchProcessor._worker_awaken",
    "opentelemetry.sdk.trace.SynchronousMultiSpanProcessor._lock",
    "opentelemetry.sdk.trace.SynchronousMultiSpanProcessor._span_processors",
    "opentelemetry.sdk.trace.Tracer._instrumentation_scope",
    "opentelemetry.sdk.trace.Tracer._span_limits",
    "opentelemetry.sdk.trace.TracerProvider._active_span_processor",
    "opentelemetry.sdk.trace.export.BatchSpanProcessor._batch_processor",
    "opentelemetry.sdk.trace.export.BatchSpanProcessor._default_max_queue_size",
    "opentelemetry.trace._TRACER_PROVIDER", "opentelemetry.trace._TRACER_PROVIDER_SET_ONCE",
    "opentelemetry.util._once.Once",
)  # fmt: skip


E = TypeVar("E")
_RANDOM: Final = SystemRandom()
_HURRY_S: Final = 0.01


class _Told(Once):
    """Leaves the service's `set_tracer_provider` its one time, and calls `told` after it."""

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__()
        self._told: Callable[[], None] | None = told

    def do_once(self, func: Callable[[], None]) -> bool:
        did = super().do_once(func)
        told, self._told = (self._told, None) if did else (None, self._told)
        if told is not None:
            told()
        return did


def place_tracer_provider(provider: TracerProvider, told: Callable[[], None]) -> None:
    """Make a provider the global one until the service sets its own, after which `told` is called, once."""
    if trace._TRACER_PROVIDER is None:
        trace._TRACER_PROVIDER = provider
        trace._TRACER_PROVIDER_SET_ONCE = _Told(told)


def is_global(provider: TracerProvider) -> bool:
    return trace._TRACER_PROVIDER is provider


def forget_tracer_provider() -> None:
    """Restore the state before a global tracer provider was set."""
    # a remaining provider would have FastAPI create spans
    trace._TRACER_PROVIDER = None
    trace._TRACER_PROVIDER_SET_ONCE = Once()


def redirect(ours: TracerProvider, host: TracerProvider, kept: SdkTracer) -> None:
    """Let all tracers of `ours` but `kept`, and those asked of it from now on, be as the host's own."""
    mutable: Any = ours
    mutable.get_tracer = host.get_tracer
    mutable.add_span_processor = host.add_span_processor
    mutable.force_flush = host.force_flush
    configured = getattr(host, "_apply_tracer_configurator", None)  # versions before 1.40 have none
    for tracer in mutable.given():
        if tracer is kept:
            continue
        tracer.sampler = host.sampler
        tracer.resource = host.resource
        tracer.id_generator = host.id_generator
        tracer._span_limits = host._span_limits
        tracer.span_processor = host._active_span_processor
        if configured is not None:
            tracer._tracer_config = configured(scope_of(tracer))


def forget_meter_provider() -> None:
    """Restore the state before a global meter provider was set."""
    internal = metrics._internal
    internal._METER_PROVIDER = None
    internal._METER_PROVIDER_SET_ONCE = type(internal._METER_PROVIDER_SET_ONCE)()


def processors(provider: TracerProvider) -> tuple[SpanProcessor, ...]:
    return tuple(getattr(provider._active_span_processor, "_span_processors", ()))


def without_blocking(provider: TracerProvider) -> Any:
    """Return what hears of a provider's spans, without processors that send each one as it ends."""
    every = processors(provider)
    others = [one for one in every if not isinstance(one, SimpleSpanProcessor)]
    if len(others) == len(every):
        return provider._active_span_processor
    found = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
    for one in others:
        found.add_span_processor(one)
    return found


def remove_processor(provider: TracerProvider, processor: SpanProcessor) -> None:
    active: Any = provider._active_span_processor
    with active._lock:
        remove_processors_without_lock(provider, [processor])


def remove_processors_without_lock(provider: TracerProvider, removed: list[SpanProcessor]) -> None:
    """Remove processors from a provider in a forked child, where the lock's holder may not exist."""
    active: Any = provider._active_span_processor
    active._span_processors = tuple(one for one in active._span_processors if one not in removed)


def limits_of(tracer: SdkTracer) -> SpanLimits:
    return tracer._span_limits


def scope_of(tracer: SdkTracer) -> InstrumentationScope:
    return tracer._instrumentation_scope


def is_enabled(tracer: SdkTracer) -> bool:
    """Return whether the tracer creates spans at all."""
    asked = getattr(tracer, "_is_enabled", None)  # versions before 1.40 cannot disable one
    return asked is None or bool(asked())


def default_room(processor: BatchSpanProcessor) -> int:
    """Return the maximum queue size of a processor, from the environment."""
    return int(processor._default_max_queue_size())  # type: ignore[no-untyped-call]


def queue_of(processor: BatchSpanProcessor) -> Any:
    """Return the queue of spans behind a processor, and the thread that empties it."""
    return processor._batch_processor


def retry_apart(exporter: E) -> E:
    """Return an exporter of ours whose pauses before a retry are not drawn from the service's global `random`."""
    client: Any = getattr(exporter, "_client", None)
    if hasattr(client, "_compute_backoff"):
        client._compute_backoff = lambda retry: 2**retry * _RANDOM.uniform(0.8, 1.2)
    return exporter


def name_thread(queue: Any, title: str) -> None:
    """Name the thread of the SDK's queue, if it has one, and hide it."""
    worker = getattr(queue, "_worker_thread", None)
    if worker is not None:
        worker.name = title
        hide(worker)


@contextmanager
def ending_at_fork(exporter: SpanExporter) -> Iterator[None]:
    """Have a processor that is made meanwhile around `exporter` do nothing in a forked child, where the SDK would
    start its thread again."""
    plain: Any = BatchProcessor._at_fork_reinit

    def reinit(self: Any) -> None:
        if self._exporter is not exporter:  # another thread of the service made it at the same time
            plain(self)

    BatchProcessor._at_fork_reinit = reinit  # type: ignore[method-assign]
    try:
        yield
    finally:
        BatchProcessor._at_fork_reinit = plain  # type: ignore[method-assign]


def hurry(queue: Any) -> None:
    """Have the queue export what it has at once, from now on."""
    queue._schedule_delay = _HURRY_S
    queue._worker_awaken.set()


def end_at_fork(queue: Any) -> None:
    """In a forked child: accept nothing more."""
    queue._shutdown = True


_MOST_AGAIN: Final = 1_024  # tracers, by what was asked for


class OwnTracerProvider(TracerProvider):
    """Our provider, which remembers the tracers that it gave. A forked child that is traced gets another one, with the
    child's own resource.

    Whoever asks for one again waits for no lock, which the SDK's would: threads that ask in each job pass it on to one
    another, each as late as it has the GIL.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._given: WeakSet[SdkTracer] = WeakSet()
        self._given_lock = Lock()
        self._again: dict[Any, SdkTracer] = {}

    def get_tracer(self, *about: Any, **more: Any) -> Any:
        asked = (*about, *more.items())
        with suppress(TypeError):  # attributes cannot be looked up
            if found := self._again.get(asked):
                return found
        tracer = super().get_tracer(*about, **more)
        if isinstance(tracer, SdkTracer):
            with self._given_lock:
                self._given.add(tracer)
            with suppress(TypeError):
                if len(self._again) < _MOST_AGAIN:
                    self._again[asked] = tracer
        return tracer

    def given(self) -> list[SdkTracer]:
        """Return the tracers that were given and are still in use."""
        with self._given_lock:
            return list(self._given)

    def _handle_fork(self) -> None:
        self._tracers_lock = Lock()
        self._given_lock = Lock()
