"""Writes what derives from the code into other files: `python -m benchmarks.derived`.

The table in docs/reference/causes.md, the list of causes behind the dashboard's panel of queues, the kinds of situations in
the schema of the report's JSON, the pages of the command line, of its JSON and of Python's names, and the figures in the README.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.readme_figures import README, readme
from benchmarks.reference import command_line, json_output, python_api
from whywait.analysis.causes import CAUSES, INFO
from whywait.analysis.situations.situation import Situation

ROOT: Final = Path(__file__).resolve().parents[1]
REFERENCE: Final = ROOT / "docs/reference"
PAGE: Final = REFERENCE / "causes.md"
DASHBOARD: Final = ROOT / "analysis/live/grafana.json"
SCHEMA: Final = ROOT / "analysis/report/json/schema.json"
QUEUES: Final = "|".join(cause for cause in CAUSES if cause.info.is_queue)
_BEGIN: Final = "<!-- causes: written by python -m benchmarks.derived -->\n"
_END: Final = "<!-- end of causes -->\n"


def markdown_table() -> str:
    """Return the table of causes."""
    rows = "".join(f"| `{cause}` | {one.meaning} | {one.remedy} |\n" for cause, one in INFO.items())
    return f"| cause | the request was … | what to do |\n|---|---|---|\n{rows}"


def derived() -> Iterator[tuple[Path, str]]:
    """Give each file with the text that it should have."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    yield PAGE, f"{before}{_BEGIN}{markdown_table()}{_END}{after}"
    text = re.sub(r'(cause=~\\")pool_[^"\\]*', rf"\g<1>{QUEUES}", DASHBOARD.read_text())
    json.loads(text)
    yield DASHBOARD, text
    alerts = DASHBOARD.with_name("alerts.yaml")
    yield alerts, re.sub(r'(cause=~")pool_[^"]*', rf"\g<1>{QUEUES}", alerts.read_text())
    kinds = textwrap.fill(
        ", ".join(f'"{kind}"' for kind in Situation), 118, initial_indent=" " * 18, subsequent_indent=" " * 18
    )
    begin, end = '"kind": {"enum": [', "                ]},"
    before, _, rest = SCHEMA.read_text().partition(begin)
    yield SCHEMA, f"{before}{begin}\n{kinds}\n{end}{rest.partition(end)[2]}"
    yield REFERENCE / "command-line.md", command_line()
    yield REFERENCE / "python.md", python_api()
    yield REFERENCE / "json.md", json_output(SCHEMA, SCHEMA.with_name("diff_schema.json"))
    yield README, readme()


if __name__ == "__main__":
    for path, text in derived():
        path.write_text(text)
