"""The command line. Exit codes: 0 success, 1 negative result, 2 bad input, 130 interrupted."""

import io
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from whywait.analysis.causes import INFO
from whywait.analysis.cli.annotate import EPILOG as ANNOTATE_EPILOG
from whywait.analysis.cli.annotate import annotate
from whywait.analysis.cli.diff import EPILOG as DIFF_EPILOG
from whywait.analysis.cli.diff import diff
from whywait.analysis.cli.export import EPILOG as EXPORT_EPILOG
from whywait.analysis.cli.export import export
from whywait.analysis.cli.logs import EPILOG as LOGS_EPILOG
from whywait.analysis.cli.logs import logs
from whywait.analysis.cli.metrics import EPILOG as METRICS_EPILOG
from whywait.analysis.cli.metrics import metrics
from whywait.analysis.cli.of_tracer import DOCTOR_EPILOG, PASSED_ON, RUN_EPILOG, doctor, run
from whywait.analysis.cli.sources import Endpoint, Last, Service, SkipBadLines, Source, analysis_of
from whywait.analysis.cli.streams import ReaderGone, console, examples, say
from whywait.analysis.cli.top import EPILOG as TOP_EPILOG
from whywait.analysis.cli.top import top
from whywait.analysis.errors import InputError
from whywait.analysis.report.html.report import write_html
from whywait.analysis.report.json.report import as_json
from whywait.analysis.report.terminal.report import render
from whywait.analysis.text import safe

_EPILOG = """\b
From a service to its answer:
  whywait doctor                              what whywait can observe here
  whywait run -- uvicorn app:app              traces go to ./traces
  whywait report traces --html report.html    why requests were slow, who delayed them, what to change
  whywait diff before after                   what changed between two runs

Completion: whywait --install-completion.  Colours: none in a pipe or with NO_COLOR set.

Exit codes: 0 success; 1 negative result (doctor: something is missing; diff --fail-if-slower: slower); 2 bad input or arguments; 130
interrupted.
"""
_LONGEST_MESSAGE: Final = 2000


app = typer.Typer(
    name="whywait",
    help="Shows why an async Python request was slow, with evidence.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=True,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"whywait {version('whywait')}")
        raise typer.Exit()


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Shows why an async Python request was slow, with evidence."""


@app.command(
    short_help="Why requests were slow, who delayed them, what to change.",
    epilog=examples(
        "whywait report traces",
        "whywait report traces.jsonl --html report.html",
        "whywait report http://localhost:16686 --service predictor --last 1h",
        "zcat traces.jsonl.gz | whywait report - --json",
    ),
)
def report(
    source: Source,
    service: Service = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the report as one HTML file.", metavar="FILE")
    ] = None,
    as_json_text: Annotated[
        bool, typer.Option("--json", help="Print JSON (analysis/report/json/schema.json).")
    ] = False,
    endpoint: Endpoint = None,
    top: Annotated[int, typer.Option(help="How many requests and culprits to show.", min=1, max=1000)] = 5,
    last: Last = None,
    skip_bad_lines: SkipBadLines = False,
) -> None:
    """Shows what each endpoint's requests waited for, who delayed them, and what to change."""
    analysis = analysis_of(
        source, service=service, skip_bad_lines=skip_bad_lines, last=last, endpoint=endpoint
    )
    if html is not None:
        write_html(analysis, html, title=f"whywait: {source}", top=top)
    if as_json_text:
        say(json.dumps(as_json(analysis, top=top), indent=1))
        return
    render(analysis, console(), top=top)
    if html is not None:
        say(f"\nwritten: {html}")


app.command(short_help="What changed between two runs, and why.", epilog=DIFF_EPILOG)(diff)


@app.command(short_help="What each cause means, and what to change.", epilog=examples("whywait causes"))
def causes() -> None:
    """Prints what each cause means, and what to change."""
    table = Table(title="Every instant of a request has exactly one cause")
    for name in ("cause", "the request was ...", "what to do"):
        table.add_column(name)
    for cause, advice in INFO.items():
        table.add_row(str(cause), advice.meaning, advice.remedy)
    console().print(table)


@app.command(
    short_help="A demonstration: a service in six modes under load.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def demo(context: typer.Context) -> int:
    """Runs the demonstration: puts a service in six modes under load and shows where the time went."""
    try:
        from demo_service.story import main as tell
    except ImportError as error:
        raise InputError(
            f"the demo service is not installed with whywait ({error}). Clone the repository, run pip install -e "
            "'.[demo-cpu]' in the clone, and start whywait demo there"
        ) from error
    return tell(context.args)


app.command(
    short_help="Trace a service, with no change to its code.", epilog=RUN_EPILOG, context_settings=PASSED_ON
)(run)
app.command(
    short_help="What whywait can observe on this machine, and why not more.",
    epilog=DOCTOR_EPILOG,
    context_settings=PASSED_ON,
)(doctor)
app.command(short_help="Add the causes to traces, so that Jaeger shows them.", epilog=ANNOTATE_EPILOG)(
    annotate
)
app.command(short_help="Write a timeline for Perfetto's UI.", epilog=EXPORT_EPILOG)(export)
app.command(short_help="What timestamped logs show, and what they cannot show.", epilog=LOGS_EPILOG)(logs)
app.command(short_help="What requests wait for now, in the terminal.", epilog=TOP_EPILOG)(top)
app.command(short_help="Send the causes as OpenTelemetry metrics.", epilog=METRICS_EPILOG)(metrics)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `argv`: the words after `whywait`."""
    _survive_encoding()
    try:
        result: Any = app(
            list(sys.argv[1:] if argv is None else argv), prog_name="whywait", standalone_mode=False
        )
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except InputError as error:
        return _refuse(error)
    except (KeyboardInterrupt, typer.Abort):
        print("whywait: interrupted", file=sys.stderr)
        return 130
    except (ReaderGone, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # a wrong use of the command line; typer's own class for it is private
        if not hasattr(error, "format_message"):
            raise
        said = error.format_message()
        if said.startswith("Usage:"):  # no words at all
            print(said, file=sys.stderr)
            return 2
        return _refuse(f"{said.rstrip('.')}. See whywait --help")


def _refuse(error: object) -> int:
    # the message may quote a trace, and a trace may contain escape sequences
    print(f"whywait: {safe(error, _LONGEST_MESSAGE)}", file=sys.stderr)
    return 2


def _survive_encoding() -> None:
    """Replaces a character that the output cannot encode with a question mark, instead of a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
