"""`whywait metrics`: a sidecar that turns the traces of a service into metrics."""

from typing import Annotated, Final

import typer

from whywait.analysis.cli.sources import Followed
from whywait.analysis.cli.streams import examples
from whywait.analysis.errors import InputError
from whywait.analysis.live.labels import MOST_ENDPOINTS
from whywait.analysis.live.reader import checked_path

_SIGNAL_PATH: Final = "/v1/metrics"
EPILOG: Final = (
    examples(
        "whywait metrics traces",
        "whywait metrics traces --endpoint http://collector:4318 --service predictor",
        "OTEL_METRIC_EXPORT_INTERVAL=15000 OTEL_EXPORTER_OTLP_HEADERS=key=value whywait metrics traces",
    )
    + "\n\nEnds with 0 on SIGTERM and Ctrl-C, after a last export."
)


def metrics(
    traces: Followed,
    endpoint: Annotated[
        str | None, typer.Option(help="Send the metrics to this address, by OTLP over HTTP.", metavar="URL")
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="Only this service's requests; also the metrics' service.name.")
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Also count what the files already contain.")
    ] = False,
    seconds: Annotated[
        float | None, typer.Option(help="Seconds between two exports (default 60).", min=0.1, max=3600)
    ] = None,
    endpoints: Annotated[
        int, typer.Option(help="How many endpoints get a label of their own.", min=1, max=10_000)
    ] = MOST_ENDPOINTS,
) -> int:
    """Sends what each endpoint's requests waited for as OpenTelemetry metrics, until a signal ends it."""
    path = checked_path(traces, must_exist=False)
    url = _url(endpoint)
    from whywait.analysis.cli.sidecar import (
        run,  # the SDK is slow to import; no other command needs it
    )

    run(path, url, service, seconds, endpoints, from_start=from_start)
    return 0


def _url(endpoint: str | None) -> str | None:
    if endpoint is None:
        return None
    if not endpoint.startswith(("http://", "https://")):
        raise InputError(f"--endpoint is {endpoint!r}; expected a URL such as http://localhost:4318")
    base = endpoint.rstrip("/")
    return base if base.endswith(_SIGNAL_PATH) else base + _SIGNAL_PATH
