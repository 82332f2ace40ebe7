"""The counts of all requests, as OpenTelemetry metrics with bounded labels (`totals`). They are observable: a request
costs nothing more. Created once per process, since the SDK cannot remove one; they report nothing without a
session."""

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.resources import Resource

from whywait.tracer.export.sdk_internals import forget_meter_provider, retry_apart
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.recorder import Recorder

NOT_KEPT: Final = "no"


class Metrics:
    """The metrics of one session: `end` sends the last values, `abandon` drops them in a forked child."""

    def __init__(self, provider: Any = None) -> None:
        self._provider = provider  # ours; None: the host's

    def end(self, within_s: float) -> None:
        if self._provider is not None:
            self._provider.shutdown(timeout_millis=within_s * 1_000)
            self.abandon()

    def abandon(self) -> None:
        """The same without sending: the thread and the connection belong to the parent."""
        if self._provider is not None:
            forget_meter_provider()


def install(version: str, resource: Resource, environ: Mapping[str, str] = os.environ) -> Metrics:
    """Create the instruments, and a meter provider if OTEL_METRICS_EXPORTER requests one and the host
    has none."""
    # sent only where the user asks for it: Jaeger, for one, accepts no metrics
    asked = environ.get("OTEL_METRICS_EXPORTER", "").lower() == "otlp"
    provider = _provide(resource) if asked else None
    if provider is None:
        _make_once(version)
    elif not _make_once.cache_info().currsize:  # those made before are bound to our provider by the stand-in
        _make_instruments(version)
    return Metrics(provider)


def _make_instruments(version: str) -> None:
    meter = metrics.get_meter("whywait", version)
    meter.create_observable_counter("whywait.requests", [_observed(_requests)], "{request}", "requests that ended")
    meter.create_observable_counter(
        "whywait.requests.duration", [_observed(lambda it: [
            Observation(total.wall_ns / 1e9, {"endpoint": endpoint})
            for endpoint, total in list(it.totals.endpoints.items())
        ])], "s", "sum of the wall times of ended requests",
    )  # fmt: skip
    meter.create_observable_up_down_counter(
        "whywait.requests.open", [_observed(lambda it: [Observation(len(it.open))])], "{request}", "open requests"
    )
    meter.create_observable_counter(
        "whywait.lost", [_observed(lambda it: [Observation(count, {"kind": kind}) for kind, count in list(it.lost.items())])],
        "{record}", "records that whywait dropped, and probes that it removed",
    )  # fmt: skip


_make_once: Final = functools.cache(_make_instruments)  # on the host's provider, or on the proxy that becomes it


def _provide(resource: Resource) -> Any:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    class Reader(PeriodicExportingMetricReader):
        def _at_fork_reinit(self) -> None:
            """A forked child creates a reader of its own; this one would send its values a second time."""

    if isinstance(metrics.get_meter_provider(), MeterProvider):
        return None
    provider = MeterProvider([Reader(retry_apart(OTLPMetricExporter()))], resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    return provider


def _observed(read: Callable[[Recorder], Iterable[Observation]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        recorder = recorders.active
        return read(recorder) if recorder is not None else ()

    return observe


def _requests(recorder: Recorder) -> Iterable[Observation]:
    for endpoint, total in list(recorder.totals.endpoints.items()):
        for why, count in list(total.by_decision.items()):
            yield Observation(count, {"endpoint": endpoint, "kept": why or NOT_KEPT})
