"""The arguments and options that choose which traces a command reads. Several commands share them."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from whywait import analysis
from whywait.analysis.cli.streams import working
from whywait.analysis.errors import InputError

if TYPE_CHECKING:
    from whywait.analysis.model import Analysis

_LONGEST_S: Final = 100 * 365 * 86_400  # of --last: what can be subtracted from today
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def source_argument(metavar: str) -> Any:
    return typer.Argument(help="OTLP JSON Lines file, a directory of them, '-', or Jaeger's URL.", metavar=metavar)


Source = Annotated[str, source_argument("SOURCE")]
Followed = Annotated[
    str, typer.Argument(help="The file or directory to which the service writes traces.", metavar="TRACES")
]
Service = Annotated[str | None, typer.Option("--service", help="Only this service's traces (required for Jaeger).")]
Endpoint = Annotated[str | None, typer.Option("--endpoint", help="Only endpoints whose name contains this text.")]
Last = Annotated[
    str | None, typer.Option("--last", help="Only requests of the last TIME, e.g. 30s, 15m, 2h, 1d.", metavar="TIME")
]
SkipBadLines = Annotated[
    bool, typer.Option("--skip-bad-lines", help="Skip lines that cannot be read, and report their number.")
]


def analysis_of(
    source: str,
    *,
    service: str | None = None,
    skip_bad_lines: bool = False,
    last: str | None = None,
    endpoint: str | None = None,
) -> "Analysis":
    """Return the analysis of the traces that these options choose. Raises InputError when there are none."""
    since = None if last is None else datetime.now(UTC) - _duration(last)
    with working(f"reading {source}"):
        loaded = analysis.load_traces(source, service=service, start=since, skip_bad_lines=skip_bad_lines)
    with working(f"analysing {len(loaded.spans):,} spans"):
        found = analysis.analyze(loaded)
    return found if endpoint is None else analysis.only_endpoint(found, endpoint)


def _duration(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()):
        raise InputError(f"--last is {text!r}; expected a number and s, m, h or d, such as 15m")
    if len(number) > 12 or _UNITS[unit] * int(number) > _LONGEST_S:
        raise InputError(f"--last is {text!r}; expected at most a hundred years")
    return timedelta(seconds=_UNITS[unit] * int(number))
