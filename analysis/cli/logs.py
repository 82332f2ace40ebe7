"""`whywait logs`: what timestamped logs show, and what they cannot show."""

import json
from pathlib import Path
from typing import Annotated

import typer

from whywait.analysis.cli.streams import console, examples, say, working
from whywait.analysis.errors import InputError
from whywait.analysis.logs import LogReading, read_logs
from whywait.analysis.logs.patterns import EXAMPLE
from whywait.analysis.logs.spans import SCOPE, log_spans
from whywait.analysis.report.json.logs import logs_as_json
from whywait.analysis.report.terminal.logs import render_logs
from whywait.analysis.write.otlp_file import write_spans
from whywait.analysis.write.whole_file import whole_file

EPILOG = examples(
    "whywait logs service.log",
    "kubectl logs POD | whywait logs -",
    f"whywait logs service.log --pattern '{EXAMPLE}'",
    "whywait logs service.log --only START --only SUBMIT --only END",
    "whywait logs service.log --traces logged.jsonl",
)


def logs(
    source: Annotated[str, typer.Argument(help="A log file, or '-' for standard input.", metavar="FILE")],
    pattern: Annotated[
        list[str] | None,
        typer.Option(
            help="A regular expression with groups request, name, time, delta, total; may be given more than once. "
            "Default: TS_NAME markers, event=NAME, JSON lines, each with a request id.",
            metavar="REGEX",
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this marker; may be given more than once.", metavar="MARKER")
    ] = None,
    request: Annotated[str | None, typer.Option(help="Only this request.", metavar="ID")] = None,
    top: Annotated[int, typer.Option(help="How many of the slowest requests to show.", min=0, max=1000)] = 1,
    traces: Annotated[
        Path | None, typer.Option(help="Also write the logged requests as spans (OTLP JSON Lines).", metavar="OUT")
    ] = None,
    service_name: Annotated[str, typer.Option(help="service.name of those spans.")] = "logs",
    as_json_text: Annotated[bool, typer.Option("--json", help="Print JSON; times are nanoseconds.")] = False,
) -> None:
    """Shows what the timers in a log cover, what lies between them, and what the log cannot show."""
    with working(f"reading {source}"):
        reading = read_logs(source, patterns=pattern or (), markers=only or ())
    if request is not None:
        reading = _only_request(reading, request)
    if traces is not None:
        with whole_file(traces) as stream:
            write_spans(log_spans(reading, service_name), SCOPE, stream)
    if as_json_text:
        say(json.dumps(logs_as_json(reading, top=top), indent=1))
        return
    render_logs(reading, console(), top=top)
    if traces is not None:
        say(f"\nwritten: {traces}")


def _only_request(reading: LogReading, request: str) -> LogReading:
    chosen = tuple(one for one in reading.requests if one.request == request)
    if not chosen:
        known = ", ".join(one.request for one in reading.requests[:10])
        raise InputError(f"no request {request!r} in this log; there are {len(reading.requests):,}, such as {known}")
    return LogReading(chosen, reading.findings, reading.lines)
