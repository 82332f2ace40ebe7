"""The totals as OpenTelemetry metrics. Labels are bounded: `labels` limits the endpoints, and the causes are fixed.

* `whywait.cause.time` s: requests' time by cause, in sum; `endpoint`, `cause`
* `whywait.requests.analysed` {request}: requests that the traces represent; `endpoint`
* `whywait.traces.analysed` {request}: requests whose traces were analysed; `endpoint`
* `whywait.wall.time` s: a histogram of the requests' durations as their clients felt them; `endpoint`
* `whywait.handler.time` s: a histogram of the part in the handler; `endpoint`
* `whywait.follow.lost` {record}: what could not be read, analysed or sent, by `kind`
* `whywait.follow.behind` By: bytes in the files that were not read yet

The first, second, fourth and fifth are estimates under tail sampling: each trace counts `weight` times.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from whywait.analysis.live.counting import Counted
from whywait.analysis.live.totals import Totals

BOUNDS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
)  # fmt: skip
_MOST_AT_ONCE: Final = 10_000  # records of one trace in the histogram


class Instruments:
    """Creates the instruments. One thread calls `add` with each request."""

    def __init__(
        self, meter: Meter, totals: Totals, lost: Callable[[], Mapping[str, int]], behind: Callable[[], int]
    ) -> None:
        self._totals = totals
        self._lost = lost
        self._behind = behind
        self._rest: dict[str, float] = {}  # parts of requests not yet in the histogram
        meter.create_observable_counter("whywait.cause.time", [self._causes], "s", "time of requests by cause, in sum")
        meter.create_observable_counter(
            "whywait.requests.analysed", [self._requests], "{request}", "requests that the traces represent"
        )
        meter.create_observable_counter(
            "whywait.traces.analysed", [self._traced], "{request}", "requests whose traces were analysed"
        )
        meter.create_observable_counter(
            "whywait.follow.lost", [self._losses], "{record}", "records that could not be read, analysed or sent"
        )
        meter.create_observable_gauge(
            "whywait.follow.behind", [self._lag], "By", "bytes in the trace files that were not read yet"
        )
        self._walls, self._handlers = (
            meter.create_histogram(name, "s", said, explicit_bucket_boundaries_advisory=list(BOUNDS_S))
            for name, said in (("whywait.wall.time", "felt by clients"), ("whywait.handler.time", "in the handler"))
        )

    def add(self, request: Counted) -> None:
        """Count one request."""
        label = self._totals.add(request)
        if not request.by_cause:
            return
        # the SDK's histogram takes no weights: fractions of a request are carried over to the next
        owed = self._rest.get(label, 0.0) + request.weight
        times = min(int(owed), _MOST_AT_ONCE)
        self._rest[label] = owed - int(owed)
        for _ in range(times):
            self._walls.record(request.wall_ns / 1e9, {"endpoint": label})
            self._handlers.record(request.handler_ns / 1e9, {"endpoint": label})

    def _causes(self, _: CallbackOptions) -> Iterable[Observation]:
        for label, total in list(self._totals.endpoints.items()):
            for cause, ns in list(total.by_cause.items()):
                yield Observation(ns / 1e9, {"endpoint": label, "cause": cause})

    def _requests(self, _: CallbackOptions) -> Iterable[Observation]:
        for label, total in list(self._totals.endpoints.items()):
            yield Observation(total.requests, {"endpoint": label})

    def _traced(self, _: CallbackOptions) -> Iterable[Observation]:
        for label, total in list(self._totals.endpoints.items()):
            yield Observation(total.traced, {"endpoint": label})

    def _losses(self, _: CallbackOptions) -> Iterable[Observation]:
        for kind, count in self._lost().items():
            yield Observation(count, {"kind": kind})

    def _lag(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(self._behind(), {})


class CountedExporter(MetricExporter):
    """Passes metrics on to an exporter and counts failed exports. Each export sends the full sums, so that a
    collector that was down loses resolution in time, and no amounts."""

    def __init__(self, exporter: MetricExporter) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._exporter = exporter
        self.lost: Counter[str] = Counter()
        self.begun = 0
        self.sent = 0

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Called by the SDK's metric reader."""
        self.begun += 1
        try:
            result = self._exporter.export(metrics_data, timeout_millis=timeout_millis, **kwargs)
        except Exception:
            result = MetricExportResult.FAILURE
        if result is MetricExportResult.SUCCESS:
            self.sent += 1
        else:
            self.lost["export"] += 1
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Called by the SDK's metric reader."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Called by the SDK's metric reader."""
        self._exporter.shutdown(timeout_millis)
