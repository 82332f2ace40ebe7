"""`whywait diff`: what changed between two runs, and which causes changed it."""

import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from whywait import analysis
from whywait.analysis.changes import DEFAULT_PERCENTILE
from whywait.analysis.cli.sources import Endpoint, Service, SkipBadLines, analysis_of, source_argument
from whywait.analysis.cli.streams import console, examples, say
from whywait.analysis.errors import InputError
from whywait.analysis.text import safe

if TYPE_CHECKING:
    from whywait.analysis.changes.comparison import Comparison
    from whywait.analysis.model import Analysis

EPILOG: Final = examples(
    "whywait diff before.jsonl after.jsonl",
    "whywait diff before after --percentile 50",
    "whywait diff traces traces --endpoint to_thread --against batch",
    "whywait diff before after --fail-if-slower      (for a build: exit code 1 slower, 3 cannot tell)",
    "whywait diff old1 new1 --before-too old2 --before-too old3 --after-too new2 --after-too new3",
)
SLOWER: Final = 1  # exit codes
CANNOT_TELL: Final = 3
More = list[str] | None


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
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, as for a build's summary.")] = False,
    fail_if_slower: Annotated[
        bool,
        typer.Option(
            help="End with exit code 1 when an endpoint became slower beyond chance, 3 when 10% slower cannot be excluded."
        ),
    ] = False,
    before_too: Annotated[
        More, typer.Option(help="Another run of the same as BEFORE; may be given more than once.")
    ] = None,
    after_too: Annotated[
        More, typer.Option(help="Another run of the same as AFTER; may be given more than once.")
    ] = None,
    skip_bad_lines: SkipBadLines = False,
) -> int:
    """Shows what changed between two runs: the difference of a percentile, divided exactly among causes."""
    from whywait.analysis.changes.comparison import joined

    names = (before, after)
    _check(percentile, names, endpoint, against)
    read = partial(_runs, service=service, skip_bad_lines=skip_bad_lines)
    first = read(before, before_too, endpoint=endpoint)
    second = read(after, after_too, endpoint=endpoint if against is None else against)
    if against is not None:
        name = f"{_names(first)} → {_names(second)}"
        first, second = ([analysis.renamed(one, name) for one in runs] for runs in (first, second))
    sides = joined(first), joined(second)
    found = analysis.compare(first, second, percentile=percentile)
    if as_json_text:
        from whywait.analysis.report.json.diff import diff_as_json

        say(json.dumps(diff_as_json(found, sides), indent=1))
    elif markdown:
        from whywait.analysis.report.markdown import diff_markdown

        say(diff_markdown(found))
    else:
        from whywait.analysis.report.terminal.diff import render_diff

        render_diff(found, sides, names, console())
    return _exit_code(found) if fail_if_slower else 0


def _runs(source: str, more: More, **chosen: Any) -> "list[Analysis]":
    return [analysis_of(one, **chosen) for one in (source, *(more or ()))]


def _exit_code(found: "Comparison") -> int:
    if any(one.slower for one in found.changes):
        return SLOWER
    from whywait.analysis.changes.sentences import cannot_tell

    unknown = [one for one in found.changes if not one.whole.excluded]
    for one in unknown:
        print(f"whywait: {safe(one.endpoint)}: {cannot_tell(one)}", file=sys.stderr)
    return CANNOT_TELL if unknown else 0


def _check(percentile: float, names: tuple[str, str], endpoint: str | None, against: str | None) -> None:
    if not 0 < percentile < 100:
        raise InputError(f"--percentile {percentile:g}: expected a number over 0 and under 100, such as 95")
    if against is not None and endpoint is None:
        raise InputError("--against TEXT needs --endpoint TEXT: which endpoint of BEFORE to compare with it")
    if names == ("-", "-"):
        raise InputError("BEFORE and AFTER cannot both be standard input: name a file for one of them")


def _names(runs: "list[Analysis]") -> str:
    return ", ".join(sorted({str(name) for one in runs for name in one.requests["endpoint"]}))
