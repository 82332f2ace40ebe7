"""What is counted of every request, as OpenTelemetry metrics; labels are bounded (`totals`).

The instruments observe: counting a request costs no more than `totals` does, and what reads them is the
host's metric reader, if it has one. They are made once per process, since the SDK has no way to take
one back, and report nothing while no session runs.

* `whywait.requests` {request}: requests that ended; `endpoint`, `kept` = why its trace was kept ("no": it was not)
* `whywait.requests.duration` s: their wall time in sum; `endpoint`
* `whywait.requests.open` {request}: requests under way
* `whywait.lost` {record}: what was dropped, or taken out, by `kind`
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from tracer import recorder as recorders
from tracer.recorder import Recorder

NOT_KEPT: Final = "no"

_made = False  # on the host's provider, or on the stand-in that becomes it


def install(version: str, environ: Mapping[str, str] = os.environ) -> Callable[[], None]:
    """Makes the instruments, and a meter provider where OTEL_METRICS_EXPORTER asks for one and the host
    has none; returns the undo, which sends the last figures."""
    global _made
    # without a word from the user nothing is sent: Jaeger, for one, takes no metrics
    asked = environ.get("OTEL_METRICS_EXPORTER", "").lower() == "otlp"
    undo = _provide() if asked else None
    if not _made:
        _make_instruments(metrics.get_meter("whywait", version))
        _made = undo is None
    return undo or (lambda: None)


def _make_instruments(meter: metrics.Meter) -> None:
    meter.create_observable_counter("whywait.requests", [_requests], "{request}", "requests that ended")
    meter.create_observable_counter(
        "whywait.requests.duration", [_durations], "s", "wall time of the requests that ended, in sum"
    )
    meter.create_observable_up_down_counter(
        "whywait.requests.open", [_open], "{request}", "requests under way"
    )
    meter.create_observable_counter("whywait.lost", [_lost], "{record}", "what whywait dropped or took out")


def _provide() -> Callable[[], None] | None:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    if isinstance(metrics.get_meter_provider(), MeterProvider):
        return None
    provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], shutdown_on_exit=False)
    metrics.set_meter_provider(provider)

    def undo() -> None:
        provider.shutdown(timeout_millis=5_000)
        # there is no public way back
        metrics._internal._METER_PROVIDER = None
        metrics._internal._METER_PROVIDER_SET_ONCE = type(metrics._internal._METER_PROVIDER_SET_ONCE)()

    return undo


def _recorder() -> Recorder | None:
    return recorders.active


def _requests(_: CallbackOptions) -> Iterable[Observation]:
    recorder = _recorder()
    if recorder is None:
        return
    for endpoint, total in list(recorder.totals.endpoints.items()):
        for why, count in list(total.by_decision.items()):
            yield Observation(count, {"endpoint": endpoint, "kept": why or NOT_KEPT})


def _durations(_: CallbackOptions) -> Iterable[Observation]:
    recorder = _recorder()
    if recorder is None:
        return
    for endpoint, total in list(recorder.totals.endpoints.items()):
        yield Observation(total.wall_ns / 1e9, {"endpoint": endpoint})


def _open(_: CallbackOptions) -> Iterable[Observation]:
    recorder = _recorder()
    if recorder is not None:
        yield Observation(len(recorder.open), {})


def _lost(_: CallbackOptions) -> Iterable[Observation]:
    recorder = _recorder()
    if recorder is None:
        return
    for kind, count in list(recorder.lost.items()):
        yield Observation(count, {"kind": kind})
