"""A new cause is its kind of wait, its record and its probe: reports, pages, remedies and tables use it from there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.analysis.drawing import drawn
from whywait.tracer import schema

ROOT = Path(__file__).resolve().parents[3]
EDITS: Final = {
    "tracer/schema.py": [
        ("WAIT_TYPES: Final = (\n", 'WAIT_DISK: Final = "disk_wait"\nWAIT_TYPES: Final = (\n    WAIT_DISK,\n')
    ],
    "analysis/causes.py": [
        ('    UNEXPLAINED = "unexplained"\n', '    DISK_WAIT = "disk_wait"\n    UNEXPLAINED = "unexplained"\n'),
        (
            "    Cause.UNEXPLAINED: CauseInfo(",
            '    Cause.DISK_WAIT: CauseInfo(\n        "waiting for the disk", "waiting for a disk", "Write less.",\n'
            '        ("#123456", "#654321"), {schema.WAIT_DISK: "the disk"}, Culprit.CALLER, is_queue=True,\n    ),\n'
            "    Cause.UNEXPLAINED: CauseInfo(",
        ),
    ],
}
"""All that a new cause takes beside the probe that records its waits."""
PICTURE = """
    server GET    |-----------|
    task   root   |-----------|  cpu=2
    wait   w      root |------|  type=disk_wait
"""
USES = """
import io, json, sys
from rich.console import Console
from tests.analysis.drawing import drawn
from tests.analysis.report.test_new_cause import PICTURE
from benchmarks.derived import QUEUES, markdown_table
from whywait.analysis.causes import INFO
from whywait.analysis.pipeline import analyze
from whywait.analysis.report.html.report import write_html
from whywait.analysis.report.json.report import as_json
from whywait.analysis.report.terminal.report import render

analysis, screen = analyze(drawn(PICTURE)), io.StringIO()
render(analysis, Console(file=screen, width=200))
write_html(analysis, sys.argv[1] + "/report.html", "")
reason = as_json(analysis)["endpoints"][0]["reasons"][0]
print(json.dumps([reason, screen.getvalue(), INFO["disk_wait"].colours[0], markdown_table(), QUEUES]))
"""


def test_a_new_cause_is_two_files_and_its_probe(tmp_path: Path) -> None:
    assert len(EDITS) + 1 <= 3
    for folder in ("whywait", "tracer", "analysis"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for file, edits in EDITS.items():
        text = (tmp_path / file).read_text()
        for old, new in edits:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (tmp_path / file).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n{USES}", str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    reason, screen, colour, table, queues = json.loads(done.stdout)
    assert (reason["cause"], reason["remedy"]["key"]) == ("disk_wait", "disk_wait")
    assert "Disk wait 7.0 ms (58%): the disk" in screen
    assert "Write less." in screen
    assert colour == "#123456"
    assert "| `disk_wait` | waiting for the disk |" in table
    assert "disk_wait" in queues
    page = (tmp_path / "report.html").read_text()
    assert all(word in page for word in ("disk_wait", "#123456", "#654321"))


def test_without_its_record_it_is_no_cause() -> None:
    assert "disk_wait" not in schema.WAIT_TYPES
    assert len(drawn(PICTURE)) == 3
