"""`whywait convert`: traces as one small file that is read fast."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from whywait import analysis
from whywait.analysis.cli.sources import Service, SkipBadLines, Source
from whywait.analysis.cli.streams import examples, working
from whywait.analysis.text import counted

EPILOG: Final = examples(
    "whywait convert traces traces.parquet            then whywait report traces.parquet",
    "whywait convert http://localhost:16686 kept.parquet --service predictor",
)


def convert(
    source: Source,
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.", metavar="OUT")],
    service: Service = None,
    skip_bad_lines: SkipBadLines = False,
) -> None:
    """Writes traces as one Parquet file, about a twentieth of the JSON, which every command reads."""
    from whywait.analysis.load.parquet import write_parquet  # its help needs none of it

    with working(f"reading {source}"):
        traces = analysis.load_traces(source, service=service, skip_bad_lines=skip_bad_lines)
    with working(f"writing {out}"):
        write_parquet(traces.spans, out)
    for one in traces.findings:
        print(f"note: {one.message} ({counted(one.count, 'time')})", file=sys.stderr)
    print(f"{counted(len(traces.spans), 'span')}: {out}", file=sys.stderr)
