"""`whywait logs`: what timestamped logs show, and what they cannot show."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from whywait.analysis.cli.streams import console, examples, say, working
from whywait.analysis.errors import LOG_PATTERN, InputError

if TYPE_CHECKING:
    from whywait.analysis.logs import LogReading

EPILOG = examples(
    "whywait logs service.log",
    "kubectl logs POD | whywait logs -",
    f"whywait logs service.log --pattern '{LOG_PATTERN}'",
    "whywait logs service.log --only START --only SUBMIT --only END",
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
    as_json_text: Annotated[bool, typer.Option("--json", help="Print JSON; times are nanoseconds.")] = False,
) -> None:
    """Shows what the timers in a log cover, what lies between them, and what the log cannot show."""
    # its help needs nothing of what it does
    from whywait.analysis.logs import read_logs
    from whywait.analysis.report.json.logs import logs_as_json
    from whywait.analysis.report.terminal.logs import render_logs

    with working(f"reading {source}"):
        reading = read_logs(source, patterns=pattern or (), markers=only or ())
    if request is not None:
        reading = _only_request(reading, request)
    if as_json_text:
        say(json.dumps(logs_as_json(reading, top=top), indent=1))
    else:
        render_logs(reading, console(), top=top)


def _only_request(reading: "LogReading", request: str) -> "LogReading":
    from whywait.analysis.logs import LogReading

    chosen = tuple(one for one in reading.requests if one.request == request)
    if not chosen:
        known = ", ".join(one.request for one in reading.requests[:10])
        raise InputError(f"no request {request!r} in this log; there are {len(reading.requests):,}, such as {known}")
    return LogReading(chosen, reading.findings, reading.lines)
