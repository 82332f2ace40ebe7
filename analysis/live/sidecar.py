"""What `whywait metrics` does: follows the traces a service writes, and sends metrics until a signal comes."""

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

from whywait.analysis.live.labels import Labels
from whywait.analysis.live.metrics import CountedExporter, Instruments
from whywait.analysis.live.pace import rest_s, yield_to_others
from whywait.analysis.live.reader import EVERYTHING, Reader
from whywait.analysis.text import counted
from whywait.analysis.write.otlp_http import address

_TURN_S: Final = 2.0
_LAST_EXPORT_MS: Final = 5_000


def send_metrics(
    path: Path, labels: Labels, *, send: str | None, service: str | None, from_start: bool, seconds: float | None
) -> None:
    """Send until SIGTERM or Ctrl-C, and once more then. `send`: a URL other than that of OTEL_EXPORTER_OTLP_*;
    `seconds`: between two exports."""
    exporter = CountedExporter(OTLPMetricExporter(endpoint=None if send is None else address(send, "/v1/metrics")))
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # said below, once, in our words
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.ask())
    yield_to_others()
    every = PeriodicExportingMetricReader(exporter, None if seconds is None else seconds * 1000)
    provider = MeterProvider([every], resource=_resource(service), shutdown_on_exit=False)
    reader = Reader(path, back=EVERYTHING if from_start else 0, service=service)
    instruments = Instruments(
        provider.get_meter("whywait.live"), labels, lambda: {**reader.lost, **exporter.lost},
        lambda: reader.follower.behind,
    )  # fmt: skip
    _say(f"following {path}{'' if path.exists() else ', which is not there yet'}")
    try:
        _follow(reader, instruments, exporter, stop)
    finally:
        reader.close()
        provider.shutdown(timeout_millis=_LAST_EXPORT_MS)
        failed = exporter.begun - exporter.sent  # one may still be trying
        if failed:
            _say(f"{failed} of {counted(exporter.begun, 'export')} failed")


def _resource(service: str | None) -> Resource:
    name = service or os.environ.get("OTEL_SERVICE_NAME")
    if name is None and "service.name" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        name = "whywait"
    return Resource.create({"service.name": name} if name else {})


class Stop:
    """Asked for by a signal, at any moment: an `Event` that is set in the midst of its own `wait` waits for ever."""

    def __init__(self) -> None:
        self.asked = False
        self._queue: SimpleQueue[None] = SimpleQueue()  # whose `put` may come in the midst of its `get`

    def ask(self) -> None:
        """Ends a `wait`, now or later."""
        self.asked = True
        self._queue.put(None)

    def wait(self, seconds: float) -> None:
        """Returns after this time, or as soon as it is asked for."""
        with suppress(Empty):
            self._queue.get(timeout=seconds)


def _follow(reader: Reader, instruments: Instruments, exporter: CountedExporter, stop: Stop) -> None:
    said: set[str] = set()
    while True:
        begun_s, final = time.monotonic(), stop.asked
        for request in reader.turn(begun_s, final=final).requests:
            instruments.add(request)
        if final:
            return
        unreached = "the collector cannot be reached; going on, its failures are counted" if exporter.lost else ""
        for kind, words in (("service", reader.service_missing), ("collector", unreached)):
            if words and kind not in said:
                said.add(kind)
                _say(words)
        stop.wait(rest_s(_TURN_S, time.monotonic() - begun_s))


def _say(words: str) -> None:
    print(f"whywait metrics: {words}", file=sys.stderr, flush=True)
