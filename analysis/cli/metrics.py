"""`whywait metrics`: a sidecar that follows the traces a service writes, and sends metrics until a signal comes."""

from typing import Annotated, Final

import typer

from whywait.analysis.cli.sources import Followed
from whywait.analysis.cli.streams import examples
from whywait.analysis.live.labels import MOST_ENDPOINTS, Labels

EPILOG: Final = (
    examples(
        "whywait metrics traces",
        "whywait metrics traces --send http://collector:4318 --service predictor",
        "OTEL_METRIC_EXPORT_INTERVAL=15000 OTEL_EXPORTER_OTLP_HEADERS=key=value whywait metrics traces",
    )
    + "\n\nEnds with 0 on SIGTERM and Ctrl-C, after a last export."
)


def metrics(
    traces: Followed,
    send: Annotated[
        str | None, typer.Option(help="Send the metrics to this address, by OTLP over HTTP (default: OTEL_EXPORTER_OTLP_*).", metavar="URL")
    ] = None,
    service: Annotated[str | None, typer.Option(help="Only this service's requests; also the metrics' service.name.")] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Also count what the files already contain.")] = False,
    seconds: Annotated[float | None, typer.Option(help="Seconds between two exports (default 60).", min=0.1, max=3600)] = None,
    endpoints: Annotated[int, typer.Option(help="How many endpoints get a label of their own.", min=1, max=10_000)] = MOST_ENDPOINTS,
) -> int:  # fmt: skip
    """Sends what each endpoint's requests waited for as OpenTelemetry metrics, until a signal ends it."""
    # its help needs nothing of what it does
    from whywait.analysis.live.reader import checked_path
    from whywait.analysis.live.sidecar import send_metrics

    path = checked_path(traces, must_exist=False)
    send_metrics(path, Labels(endpoints), send=send, service=service, from_start=from_start, seconds=seconds)
    return 0
