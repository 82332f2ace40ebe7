"""What the command does with the streams around it: encodings, closed pipes, hostile text in a refusal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.analysis.cli.test_cli import GOOD, ROOT, refused, whywait


def test_an_output_that_is_not_utf8_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(GOOD.replace('"GET /"', '"GET /caf\\u00e9"') + "\n" + GOOD[:80])
    done = subprocess.run(
        [sys.executable, "-m", "whywait", "report", str(path), "--skip-bad-lines"],
        capture_output=True, cwd=ROOT, env={**os.environ, "PYTHONIOENCODING": "ascii"}, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"GET /caf?" in done.stdout


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_that_is_gone_ends_it_quietly_with_0(tmp_path: Path, form: list[str]) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(GOOD)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "whywait", "report", str(path), *form],
            stdout=closed, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=120, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


AT_ITS_END = """
import atexit, os, sys

def threads():
    print(*(open(f"/proc/self/task/{one}/comm").read().strip() for one in os.listdir("/proc/self/task")), file=sys.stderr)

atexit.register(threads)
from whywait.analysis.cli.application import main
main(["report", sys.argv[1]])
"""


def test_a_report_starts_no_thread_that_its_end_could_meet(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(GOOD)
    done = subprocess.run(
        [sys.executable, "-c", AT_ITS_END, str(path)],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, timeout=120,
        check=False,
    )  # fmt: skip
    threads = [one for one in done.stderr.split() if one != "jemalloc_bg_thd"]  # pyarrow's, for unused memory
    assert len(threads) == 1, done.stderr


@pytest.mark.parametrize("last", ["²s", "99999999999999d", "40000000000s", "-1h", "h", ""])
def test_a_span_of_time_that_is_none(last: str) -> None:
    refused(whywait("report", "x", f"--last={last}"), "--last")


def test_a_refusal_carries_no_escape_sequences_of_the_trace(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(GOOD.replace('"GET /"', json.dumps("GET \x1b[31m/\u202e")))
    done = whywait("report", str(path), "--endpoint", "/nope")
    refused(done, "/nope")
    assert "\x1b" not in done.stderr
    assert "\u202e" not in done.stderr


def test_no_words_at_all_show_the_help_and_are_refused() -> None:
    done = whywait()
    assert done.returncode == 2
    assert "\n  report    Why requests were slow" in done.stderr  # as lines, not as one long message
    assert "..." not in done.stderr.partition("Commands:")[2].partition("From a service")[0]
    assert "Traceback" not in done.stderr
