"""What was counted, as OpenTelemetry metrics, estimated under tail sampling: each trace counts `weight` times. Labels
are bounded: `labels` limits the endpoints, and the causes are fixed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from whywait.analysis.live.counting import Counted
from whywait.analysis.live.labels import Labels

BOUNDS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
)  # fmt: skip
_MOST_AT_ONCE: Final = 10_000  # records of one trace in the histogram


class Instruments:
    """Creates the instruments. One thread calls `add` with each request; `labels` are those of its endpoints."""

    def __init__(
        self, meter: Meter, labels: Labels, lost: Callable[[], Mapping[str, int]], behind: Callable[[], int]
    ) -> None:
        self._labels = labels
        self._rest: dict[str, float] = {}  # parts of requests not yet in the histogram
        # by endpoint and cause, weighted; a sum of seconds would not be exact
        self._causes_ns: defaultdict[tuple[str, str], float] = defaultdict(float)
        meter.create_observable_counter("whywait.cause.time", [self._causes], "s", "time of requests by cause, in sum")
        self._requests = meter.create_counter(
            "whywait.requests.analysed", "{request}", "requests that the traces represent"
        )
        self._traced = meter.create_counter(
            "whywait.traces.analysed", "{request}", "requests whose traces were analysed"
        )
        self._walls, self._handlers = (
            meter.create_histogram(name, "s", said, explicit_bucket_boundaries_advisory=list(BOUNDS_S))
            for name, said in (("whywait.wall.time", "felt by clients"), ("whywait.handler.time", "in the handler"))
        )
        meter.create_observable_counter(
            "whywait.follow.lost", [lambda _: [Observation(count, {"kind": kind}) for kind, count in lost().items()]],
            "{record}", "records that could not be read, analysed or sent",
        )  # fmt: skip
        meter.create_observable_gauge(
            "whywait.follow.behind", [lambda _: [Observation(behind())]], "By",
            "bytes in the trace files that were not read yet",
        )  # fmt: skip

    def add(self, request: Counted) -> None:
        if not request.by_cause:  # it was not recorded whole
            return
        label = self._labels.label(request.endpoint)
        own = {"endpoint": label}
        for cause, ns in request.by_cause.items():
            self._causes_ns[label, cause] += ns * request.weight
        self._requests.add(request.weight, own)
        self._traced.add(1, own)
        # the SDK's histogram takes no weights: fractions of a request are carried over to the next
        owed = self._rest.get(label, 0.0) + request.weight
        self._rest[label] = owed - int(owed)
        example = _example(request)
        for _ in range(min(int(owed), _MOST_AT_ONCE)):
            self._walls.record(request.wall_ns / 1e9, own, example)
            self._handlers.record(request.handler_ns / 1e9, own, example)

    def _causes(self, _: CallbackOptions) -> Iterable[Observation]:
        for (label, cause), ns in self._causes_ns.copy().items():
            yield Observation(ns / 1e9, {"endpoint": label, "cause": cause})


def _example(request: Counted) -> Context | None:
    """Its trace, of which the SDK keeps one for each bucket; None for ids that are not OpenTelemetry's."""
    try:
        trace_id, span_id = int(request.trace_id, 16), int(request.span_id, 16)
    except ValueError:
        return None
    sampled = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(sampled), Context())


class CountedExporter(MetricExporter):
    """Passes metrics on to an exporter for the SDK's reader and counts failed exports. Each export sends the full sums, so that a
    collector that was down loses resolution in time, and no amounts."""

    def __init__(self, exporter: MetricExporter) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._exporter = exporter
        self.lost: Counter[str] = Counter()
        self.begun = 0
        self.sent = 0

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
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
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._exporter.shutdown(timeout_millis)
