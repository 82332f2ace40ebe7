"""`whywait export`: the analysis in the formats of other viewers."""

from pathlib import Path
from typing import Annotated

import typer

from whywait.analysis.cli.sources import Endpoint, Service, SkipBadLines, Source, analysis_of
from whywait.analysis.cli.streams import examples, working
from whywait.analysis.text import counted
from whywait.analysis.write.whole_file import whole_file

EPILOG = examples(
    "whywait export --perfetto out.json traces.jsonl     then open out.json in https://ui.perfetto.dev",
    "whywait export --perfetto out.json http://localhost:16686 --service predictor",
    "whywait export --perfetto - traces --endpoint /rank --detail 3 | gzip > out.json.gz",
)


def export(
    source: Source,
    perfetto: Annotated[
        Path, typer.Option(help="Write Chrome trace JSON for Perfetto's UI; '-' is standard output.", metavar="OUT")
    ],
    service: Service = None,
    endpoint: Endpoint = None,
    detail: Annotated[
        int, typer.Option(help="How many of the slowest requests to write with every task and job.", min=0, max=500)
    ] = 20,
    skip_bad_lines: SkipBadLines = False,
) -> None:
    """Writes requests, threads, event loops and wake-ups as one timeline for another viewer."""
    from rich.console import Console
    from rich.text import Text

    from whywait.analysis.report.perfetto import VIEWER, write_perfetto  # its help needs none of it

    analysis = analysis_of(source, service=service, skip_bad_lines=skip_bad_lines, endpoint=endpoint)
    with whole_file(perfetto) as stream, working(f"writing {perfetto}"):
        written = write_perfetto(analysis, stream, detail=detail)
    left_out = f" ({written.left_out:,} faster ones left out)" if written.left_out else ""
    said = (
        f"{counted(written.requests, 'request')}{left_out}, {counted(written.tracks, 'track')}, "
        f"{counted(written.slices, 'slice')}, {counted(written.arrows, 'arrow')}: open {'it' if str(perfetto) == '-' else perfetto} in "
    )
    viewer = Text("https://ui.perfetto.dev", f"link {VIEWER}")  # a terminal links it, with the slowest request first
    Console(stderr=True).print(Text.assemble(said, viewer), soft_wrap=True)
