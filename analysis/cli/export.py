"""`whywait export`: the analysis in the formats of other viewers."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from whywait.analysis.cli.streams import examples, working
from whywait.analysis.load import load_traces
from whywait.analysis.measure.selection import only_endpoint
from whywait.analysis.pipeline import analyze
from whywait.analysis.report.perfetto import write_perfetto
from whywait.analysis.write.whole_file import whole_file

EPILOG = examples(
    "whywait export --perfetto out.json traces.jsonl     then open out.json in https://ui.perfetto.dev",
    "whywait export --perfetto out.json http://localhost:16686 --service predictor",
    "whywait export --perfetto - traces --endpoint /rank --detail 3 | gzip > out.json.gz",
)


def export(
    source: Annotated[
        str,
        typer.Argument(
            help="OTLP JSON Lines file, a directory of them, '-', or Jaeger's URL.", metavar="SOURCE"
        ),
    ],
    perfetto: Annotated[
        Path,
        typer.Option(
            help="Write Chrome trace JSON for Perfetto's UI; '-' is standard output.", metavar="OUT"
        ),
    ],
    service: Annotated[str | None, typer.Option(help="Only this service's traces (Jaeger needs it).")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only endpoints that contain this text.")] = None,
    detail: Annotated[
        int,
        typer.Option(
            help="How many of the slowest requests to show with every task and job.", min=0, max=500
        ),
    ] = 20,
    skip_bad_lines: Annotated[
        bool, typer.Option(help="Leave out lines that cannot be read, and say so.")
    ] = False,
) -> None:
    """Writes requests, threads, loops and who woke whom as one timeline for another viewer."""
    with working(f"reading {source}"):
        loaded = load_traces(source, service=service, skip_bad_lines=skip_bad_lines)
    with working(f"dividing the time of {len(loaded.spans):,} spans"):
        analysis = analyze(loaded)
    if endpoint is not None:
        analysis = only_endpoint(analysis, endpoint)
    with whole_file(perfetto) as stream, working(f"writing {perfetto}"):
        written = write_perfetto(analysis, stream, detail=detail)
    left_out = f" ({written.left_out:,} faster ones left out)" if written.left_out else ""
    print(
        f"{written.requests:,} requests{left_out}, {written.tracks:,} tracks, {written.slices:,} slices, "
        f"{written.arrows:,} arrows: open {'it' if str(perfetto) == '-' else perfetto} in https://ui.perfetto.dev",
        file=sys.stderr,
    )
