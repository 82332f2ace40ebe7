"""`whywait diff`: what changed between two runs, and which causes changed it."""

import json
from typing import Annotated, Final

import typer

from whywait.analysis.changes.comparison import DEFAULT_PERCENTILE, compare
from whywait.analysis.cli.sources import Endpoint, Service, SkipBadLines, analysis_of, source_argument
from whywait.analysis.cli.streams import console, examples, say
from whywait.analysis.errors import InputError
from whywait.analysis.measure.selection import only_endpoint, renamed
from whywait.analysis.model import Analysis
from whywait.analysis.report.json.diff import diff_as_json
from whywait.analysis.report.terminal.diff import render_diff

EPILOG: Final = examples(
    "whywait diff before.jsonl after.jsonl",
    "whywait diff before after --percentile 50",
    "whywait diff traces traces --endpoint to_thread --against batch",
    "whywait diff before after --fail-if-slower      (exit code 1, for a build)",
)
SLOWER: Final = 1  # exit code


def diff(
    before: Annotated[str, source_argument("BEFORE")],
    after: Annotated[str, source_argument("AFTER")],
    percentile: Annotated[
        float, typer.Option(help="Percentile of each endpoint's wall times, over 0 and under 100.", metavar="P")
    ] = DEFAULT_PERCENTILE,
    endpoint: Endpoint = None,
    against: Annotated[
        str | None,
        typer.Option(help="Compare --endpoint of BEFORE with the endpoints of AFTER whose name contains this text."),
    ] = None,
    service: Service = None,
    as_json_text: Annotated[
        bool, typer.Option("--json", help="Print JSON (analysis/report/json/diff_schema.json).")
    ] = False,
    fail_if_slower: Annotated[
        bool, typer.Option(help="End with exit code 1 when an endpoint became slower beyond chance.")
    ] = False,
    skip_bad_lines: SkipBadLines = False,
) -> int:
    """Shows what changed between two runs: the difference of a percentile, divided exactly among causes."""
    names = (before, after)
    _check(percentile, names, endpoint, against)
    first, second = (analysis_of(source, service=service, skip_bad_lines=skip_bad_lines) for source in names)
    sides = _chosen(first, second, endpoint, against)
    found = compare(*sides, percentile=percentile)
    if as_json_text:
        say(json.dumps(diff_as_json(found, sides), indent=1))
    else:
        render_diff(found, sides, names, console())
    slower = any(one.certain and one.delta_ns > 0 for one in found.changes)
    return SLOWER if fail_if_slower and slower else 0


def _check(percentile: float, names: tuple[str, str], endpoint: str | None, against: str | None) -> None:
    if not 0 < percentile < 100:
        raise InputError(f"--percentile {percentile:g}: expected a number over 0 and under 100, such as 95")
    if against is not None and endpoint is None:
        raise InputError("--against TEXT needs --endpoint TEXT: which endpoint of BEFORE to compare with it")
    if names == ("-", "-"):
        raise InputError("BEFORE and AFTER cannot both be standard input: name a file for one of them")


def _chosen(before: Analysis, after: Analysis, endpoint: str | None, against: str | None) -> tuple[Analysis, Analysis]:
    if endpoint is None:
        return before, after
    first, second = only_endpoint(before, endpoint), only_endpoint(after, against or endpoint)
    if against is None:
        return first, second
    name = f"{_names(first)} → {_names(second)}"
    return renamed(first, name), renamed(second, name)


def _names(analysis: Analysis) -> str:
    return ", ".join(sorted(map(str, analysis.requests["endpoint"].unique())))
