"""`whywait annotate`: traces with their causes, for any viewer."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from whywait.analysis.cli.sources import Service, SkipBadLines, Source, analysis_of
from whywait.analysis.cli.streams import examples, working
from whywait.analysis.errors import InputError
from whywait.analysis.text import counted
from whywait.tracer import schema

if TYPE_CHECKING:
    from whywait.analysis.model import Analysis
    from whywait.analysis.report.annotation.copied_traces import Host, Key

EPILOG = examples(
    "whywait annotate traces --output annotated.jsonl",
    "whywait annotate traces --send http://localhost:4318           into Jaeger, with the traces themselves",
    "whywait annotate http://localhost:16686 --service predictor --send http://localhost:4318",
    "whywait annotate traces --slowest 20 --output worst.jsonl      a file for 'Upload' on Jaeger's search page",
)


def annotate(
    source: Source,
    output: Annotated[
        Path | None, typer.Option(help="Write OTLP JSON Lines to this file; '-' is standard output.", metavar="OUT")
    ] = None,
    send: Annotated[
        str | None, typer.Option(help="Send the traces to this OTLP/HTTP receiver, such as Jaeger's.", metavar="URL")
    ] = None,
    min_ms: Annotated[float, typer.Option(help="Shorter segments get no span; the lane's sums include them.", min=0)] = 0.1,
    slowest: Annotated[
        int | None, typer.Option(help="Only the traces of the N slowest requests.", metavar="N", min=1)
    ] = None,
    only_causes: Annotated[
        bool, typer.Option(help="Leave out the traces themselves; they are always left out when they come from Jaeger.")
    ] = False,
    service: Service = None,
    skip_bad_lines: SkipBadLines = False,
) -> None:  # fmt: skip
    """Adds the causes of each request to its trace, so that Jaeger shows them. Any trace will do."""
    _check(output, send)
    # its help needs nothing of what it does
    from whywait.analysis.measure.selection import only_slowest
    from whywait.analysis.report.annotation import cause_spans
    from whywait.analysis.write.otlp_file import write_spans
    from whywait.analysis.write.otlp_http import send as send_lines
    from whywait.analysis.write.whole_file import whole_file

    if not only_causes:
        _refuse_parquet(Path(source))
    with tempfile.TemporaryDirectory(prefix="whywait-") as folder:
        if source == "-":
            source = _kept(Path(folder, "input.jsonl"))
        analysis = analysis_of(source, service=service, skip_bad_lines=skip_bad_lines)
        if slowest is not None:
            analysis = only_slowest(analysis, slowest)
        target = output or Path(folder, "output.jsonl")
        with whole_file(target) as stream:
            lines, hosts = _beside(source, stream, analysis, every=slowest is None, only_causes=only_causes)
            count = write_spans(cause_spans(analysis, round(min_ms * 1e6), hosts), schema.ANNOTATION_SCOPE, stream)
        if send is not None:
            with working(f"sending to {send}"), target.open("rb") as written:
                send_lines(written, send)
    said = f"{counted(count, 'span')} for {counted(len(analysis.analysed), 'request')}"
    said += f" and {counted(lines, 'line')} of traces" * bool(lines)
    print(f"{said}: {' and '.join(map(str, filter(None, (output, send))))}", file=sys.stderr)


def _refuse_parquet(source: Path) -> None:
    from whywait.analysis.load.files import files_of
    from whywait.analysis.load.parquet import is_parquet

    if source.exists() and any(map(is_parquet, files_of(source))):
        raise InputError(f"{source} has Parquet files, which are not copied: give the OTLP JSON, or --only-causes")


def _kept(path: Path) -> str:
    """Keep standard input: it is read twice, once to analyse, once to pass on."""
    with path.open("wb") as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
    return str(path)


def _beside(
    source: str, stream: IO[str], analysis: "Analysis", *, every: bool, only_causes: bool
) -> "tuple[int, dict[Key, Host]]":
    """Copy the traces themselves; return how many lines these are, and the requests' hosts. Jaeger has both already."""
    from whywait.analysis.model import span_id_of
    from whywait.analysis.report.annotation.copied_traces import copied, hosts_of

    if source.startswith(("http://", "https://")):
        return 0, {}
    trace_ids = [str(trace_id) for trace_id in analysis.requests["trace_id"]]
    keys = set(zip(trace_ids, map(span_id_of, trace_ids, analysis.requests["request_id"]), strict=True))
    lines = 0 if only_causes else copied(Path(source), stream, None if every else set(trace_ids))
    return lines, hosts_of(Path(source), keys)


def _check(output: Path | None, send: str | None) -> None:
    if output is None and send is None:
        raise InputError("say where the traces go: --output FILE, or --send URL such as http://localhost:4318")
    if str(output) == "-" and send is not None:
        raise InputError("--output - and --send together: name a file, or choose one of the two")
