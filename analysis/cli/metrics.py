"""`whywait metrics`: a sidecar that turns the traces a service writes into metrics."""

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from analysis.cli.niceness import yield_to_others
from analysis.errors import InputError
from analysis.live.labels import MOST_ENDPOINTS, Labels
from analysis.live.metrics import CountedExporter, Instruments
from analysis.live.pace import rest_s
from analysis.live.reader import EVERYTHING, Reader, checked_path
from analysis.live.totals import Totals

_TURN_S: Final = 2.0
_SIGNAL_PATH: Final = "/v1/metrics"
_LAST_EXPORT_MS: Final = 5_000
EPILOG: Final = (
    "Examples: whywait metrics traces | whywait metrics traces --endpoint http://collector:4318 --service predictor. "
    "OTEL_EXPORTER_OTLP_* and OTEL_METRIC_EXPORT_INTERVAL rule as OpenTelemetry defines them. Ends with 0 on "
    "SIGTERM and Ctrl-C, after a last export."
)


def metrics(
    traces: Annotated[
        str, typer.Argument(help="The file or directory that the service writes.", metavar="TRACES")
    ],
    endpoint: Annotated[
        str | None, typer.Option(help="Where to send them, by OTLP over HTTP.", metavar="URL")
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="Only this service's requests; also the metrics' service.name.")
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Count what is in the files already, too.")
    ] = False,
    seconds: Annotated[
        float | None, typer.Option(help="How often to send (default 60).", min=0.1, max=3600)
    ] = None,
    endpoints: Annotated[
        int, typer.Option(help="How many endpoints have a label of their own.", min=1, max=10_000)
    ] = MOST_ENDPOINTS,
) -> int:
    """Sends what each endpoint's requests waited for as OpenTelemetry metrics, until it is ended."""
    path = checked_path(traces, must_exist=False)
    exporter = CountedExporter(OTLPMetricExporter(endpoint=_url(endpoint)))
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # said below, once, in our words
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    yield_to_others()
    reader = PeriodicExportingMetricReader(exporter, None if seconds is None else seconds * 1000)
    provider = MeterProvider([reader], resource=_resource(service), shutdown_on_exit=False)
    try:
        _follow(path, provider, exporter, stop, service, endpoints, from_start=from_start)
    finally:
        provider.shutdown(timeout_millis=_LAST_EXPORT_MS)
        failed = exporter.begun - exporter.sent  # one may still be trying
        if failed:
            print(f"whywait metrics: {failed} of {exporter.begun} exports failed", file=sys.stderr)
    return 0


def _follow(
    path: Path, provider: MeterProvider, exporter: CountedExporter, stop: threading.Event,
    service: str | None, endpoints: int, *, from_start: bool,
) -> None:  # fmt: skip
    reader = Reader(path, back=EVERYTHING if from_start else 0, service=service)
    totals = Totals(Labels(endpoints))
    instruments = Instruments(
        provider.get_meter("whywait.live"),
        totals,
        lambda: {**reader.lost, **exporter.lost},
        lambda: reader.follower.behind,
    )
    print(f"whywait metrics: following {path}", file=sys.stderr, flush=True)
    told = False
    try:
        while True:
            begun_s = time.monotonic()
            final = stop.is_set()
            for request in reader.turn(begun_s, final=final).requests:
                instruments.add(request)
            if final:
                return
            if exporter.lost and not told:
                told = True
                print(
                    "whywait metrics: the collector cannot be reached; going on, its failures are counted",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
            stop.wait(rest_s(_TURN_S, time.monotonic() - begun_s))
    finally:
        reader.close()


def _url(endpoint: str | None) -> str | None:
    if endpoint is None:
        return None
    if not endpoint.startswith(("http://", "https://")):
        raise InputError(f"--endpoint is {endpoint!r}; expected a URL such as http://localhost:4318")
    base = endpoint.rstrip("/")
    return base if base.endswith(_SIGNAL_PATH) else base + _SIGNAL_PATH


def _resource(service: str | None) -> Resource:
    name = service or os.environ.get("OTEL_SERVICE_NAME")
    if name is None and "service.name" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        name = "whywait"
    return Resource.create({"service.name": name} if name else {})
