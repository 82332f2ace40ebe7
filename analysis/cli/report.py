"""`whywait report`: why requests were slow, what delayed them, and what to change."""

import json
import webbrowser
from pathlib import Path
from typing import Annotated, Final

import typer

from whywait.analysis.cli.sources import Endpoint, Last, Service, SkipBadLines, Source, analysis_of
from whywait.analysis.cli.streams import console, examples, say, working
from whywait.analysis.errors import InputError

EPILOG: Final = examples(
    "whywait report traces",
    "whywait report traces.jsonl --html report.html",
    "whywait report traces --predict",
    "whywait report http://localhost:16686 --service predictor --last 1h",
    "zcat traces.jsonl.gz | whywait report - --json",
)


def report(
    source: Source,
    service: Service = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML file.", metavar="FILE")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page of --html in a browser.")] = False,
    code: Annotated[
        bool, typer.Option(help="Show culprits' lines of code on the page, where their files are here.")
    ] = True,
    jaeger: Annotated[
        str | None, typer.Option(help="A Jaeger that has these traces: the page links to it.", metavar="URL")
    ] = None,
    as_json_text: Annotated[
        bool, typer.Option("--json", help="Print JSON (analysis/report/json/schema.json).")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, as for a build's summary.")] = False,
    predict: Annotated[
        bool, typer.Option("--predict", help="Predict what the proposed changes would bring: takes longer.")
    ] = False,
    endpoint: Endpoint = None,
    top: Annotated[int, typer.Option(help="How many requests and culprits to show.", min=1, max=1000)] = 5,
    last: Last = None,
    skip_bad_lines: SkipBadLines = False,
) -> None:
    """Says what each endpoint's requests waited for, what delayed them, and what to change."""
    if open_page and html is None:
        raise InputError("--open needs --html FILE: which page to open")
    # as in every command: its help needs nothing of what it does
    from whywait.analysis.report.json.report import as_json
    from whywait.analysis.report.markdown import report_markdown
    from whywait.analysis.report.terminal.report import render
    from whywait.analysis.report.told import told_of

    analysis = analysis_of(source, service=service, skip_bad_lines=skip_bad_lines, last=last, endpoint=endpoint)
    told = told_of(analysis)
    if predict:
        from whywait.analysis.report.foretold import foretold

        with working("replaying the requests"):
            told = foretold(analysis, told)
    if html is not None:
        # the template engine takes its time to import, and only a page needs it
        from whywait.analysis.report.html.report import write_html

        write_html(analysis, html, title=f"whywait: {source}", top=top, code=code, jaeger=jaeger or source, told=told)
        if open_page:
            webbrowser.open(html.resolve().as_uri())
    if markdown:
        say(report_markdown(analysis, told))
        return
    if as_json_text:
        say(json.dumps(as_json(analysis, top=top, told=told), indent=1))
        return
    render(analysis, console(), top=top, told=told)
    if html is not None:
        say(f"\nwritten: {html}")
