"""The work of `whywait metrics`: follow files, count, send, until a signal arrives."""

import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from whywait.analysis.cli.niceness import yield_to_others
from whywait.analysis.live.labels import Labels
from whywait.analysis.live.metrics import CountedExporter, Instruments
from whywait.analysis.live.pace import rest_s
from whywait.analysis.live.reader import EVERYTHING, Reader
from whywait.analysis.live.totals import Totals
from whywait.analysis.text import counted

_TURN_S: Final = 2.0
_LAST_EXPORT_MS: Final = 5_000


class Stop:
    """A stop that a signal handler requests at any moment. An `Event` set inside its own `wait` would wait for ever."""

    def __init__(self) -> None:
        self.asked = False
        self._queue: SimpleQueue[None] = SimpleQueue()  # its `put` is allowed during its `get`

    def ask(self) -> None:
        """Ends a `wait`, now or later."""
        self.asked = True
        self._queue.put(None)

    def wait(self, seconds: float) -> None:
        """Return after this time, or as soon as the stop is requested."""
        with suppress(Empty):
            self._queue.get(timeout=seconds)


def run(
    path: Path, url: str | None, service: str | None, seconds: float | None, endpoints: int, *, from_start: bool
) -> None:  # fmt: skip
    """Follow `path` and send metrics to `url` (None: from the environment) until SIGTERM or SIGINT."""
    exporter = CountedExporter(OTLPMetricExporter(endpoint=url))
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # reported below, once
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.ask())
    yield_to_others()
    reader = PeriodicExportingMetricReader(exporter, None if seconds is None else seconds * 1000)
    provider = MeterProvider([reader], resource=_resource(service), shutdown_on_exit=False)
    try:
        _follow(path, provider, exporter, stop, service, endpoints, from_start=from_start)
    finally:
        provider.shutdown(timeout_millis=_LAST_EXPORT_MS)
        failed = exporter.begun - exporter.sent  # one export may still be under way
        if failed:
            print(f"whywait metrics: {failed} of {counted(exporter.begun, 'export')} failed", file=sys.stderr)


def _follow(
    path: Path, provider: MeterProvider, exporter: CountedExporter, stop: Stop,
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
    missing = "" if path.exists() else ", which does not exist yet"
    print(f"whywait metrics: following {path}{missing}", file=sys.stderr, flush=True)
    told = told_of_service = False
    try:
        while True:
            begun_s = time.monotonic()
            final = stop.asked
            for request in reader.turn(begun_s, final=final).requests:
                instruments.add(request)
            if final:
                return
            if reader.service_missing and not told_of_service:
                told_of_service = True
                print(f"whywait metrics: {reader.service_missing}", file=sys.stderr, flush=True)
            if exporter.lost and not told:
                told = True
                print(
                    "whywait metrics: the collector cannot be reached; failed exports are counted",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
            stop.wait(rest_s(_TURN_S, time.monotonic() - begun_s))
    finally:
        reader.close()


def _resource(service: str | None) -> Resource:
    name = service or os.environ.get("OTEL_SERVICE_NAME")
    if name is None and "service.name" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        name = "whywait"
    return Resource.create({"service.name": name} if name else {})
