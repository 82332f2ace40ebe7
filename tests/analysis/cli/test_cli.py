"""The command line as a user meets it: a real process, its streams and its exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.service import free_port
from whywait import commands

ROOT = Path(__file__).resolve().parents[3]

LINE = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "fastapi"},
                    "spans": [
                        {
                            "traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": "GET /", "kind": 2,
                            "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000010000000",
                        },
                        {
                            "traceId": "0" * 31 + "1", "spanId": "0" * 15 + "2", "parentSpanId": "0" * 15 + "1",
                            "name": "task run", "kind": 1,
                            "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000010000000",
                            "attributes": [
                                {"key": "whywait.kind", "value": {"stringValue": "task"}},
                                {"key": "whywait.activity", "value": {"stringValue": "0" * 15 + "2"}},
                                {"key": "whywait.root", "value": {"boolValue": True}},
                                {"key": "whywait.contract", "value": {"intValue": "1"}},
                                {"key": "whywait.cpu_ns", "value": {"intValue": "10000000"}},
                            ],
                        },
                    ],
                }
            ],
        }
    ]
}  # fmt: skip
GOOD = json.dumps(LINE)


def whywait(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "whywait", *words], input=stdin, capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1", **environment}, timeout=120, check=False,
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], *said: str) -> None:
    """One clear line on standard error, exit code 2, no traceback, nothing on standard output."""
    assert done.returncode == 2, done
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith("whywait")
    assert done.stdout == ""
    for words in said:
        assert words in done.stderr


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "traces.jsonl"
    path.write_text(GOOD + "\n")
    return path


def test_report_of_a_file_a_folder_and_a_pipe(good: Path) -> None:
    told = [whywait("report", str(good)), whywait("report", str(good.parent)), whywait("report", "-", stdin=GOOD)]
    for done in told:
        assert done.returncode == 0, done.stderr
        assert "GET /" in done.stdout
        assert "Nothing significant" in done.stdout
        assert "\x1b" not in done.stdout


def test_json_is_json(good: Path) -> None:
    done = whywait("report", str(good), "--json")
    assert json.loads(done.stdout)["requests"] == 1


def test_html_is_written(good: Path) -> None:
    target = good.with_suffix(".html")
    done = whywait("report", str(good), "--html", str(target))
    assert done.returncode == 0, done.stderr
    assert "<html" in target.read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "contains no spans"),
        (GOOD[: len(GOOD) // 2], "line 1"),
        (f"{GOOD}\n{GOOD[:100]}\n", "line 2"),
        ("2024-01-01 12:00:00 INFO it was slow\n", "JSON"),
        ('{"some": "json"}\n', "OTLP"),
        (GOOD.replace('"intValue": "1"', '"intValue": "99"'), "99"),
    ],
    ids=["empty", "truncated", "truncated-second", "not-json", "not-otlp", "wrong-version"],
)
def test_bad_files_get_one_clear_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(content)
    refused(whywait("report", str(path)), said)
    assert path.read_text() == content


def test_a_missing_file(tmp_path: Path) -> None:
    refused(whywait("report", str(tmp_path / "nowhere.jsonl")), "nowhere.jsonl", "does not exist")


def test_no_jaeger_there() -> None:
    refused(whywait("report", f"http://127.0.0.1:{free_port()}", "--service", "shop"), "Jaeger", "running")


def test_an_unknown_service_names_those_there_are(good: Path) -> None:
    refused(whywait("report", str(good), "--service", "bakery"), "bakery", "shop")


def test_an_unknown_endpoint_names_those_there_are(good: Path) -> None:
    refused(whywait("report", str(good), "--endpoint", "/nope"), "/nope", "GET /")


def test_the_page_is_opened_when_asked_for(good: Path) -> None:
    target = good.with_suffix(".html")
    opened = good.with_suffix(".opened")
    browser = good.with_suffix(".sh")
    browser.write_text(f"#!/bin/sh\necho $1 > {opened}\n")
    browser.chmod(0o755)
    done = whywait("report", str(good), "--html", str(target), "--open", BROWSER=str(browser))
    assert done.returncode == 0, done.stderr
    assert opened.read_text().strip() == target.resolve().as_uri()
    refused(whywait("report", str(good), "--open"), "--html FILE")


def test_a_folder_that_is_not_there_for_html(good: Path) -> None:
    refused(whywait("report", str(good), "--html", str(good.parent / "no" / "r.html")), "r.html")


def test_wrong_words() -> None:
    refused(whywait("bogus"), "bogus")
    refused(whywait("report"), "SOURCE")
    refused(whywait("report", "x", "--last", "soon"), "--last")


def test_bad_lines_can_be_skipped_and_are_told(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(f"{GOOD}\n{GOOD[:100]}\n")
    done = whywait("report", str(path), "--skip-bad-lines")
    assert done.returncode == 0, done.stderr
    assert "note:" in done.stdout


def test_help_comes_before_what_the_commands_do_is_imported() -> None:
    asked = [[], *([name] for name in (*commands.ANALYSIS, *commands.BASE))]
    program = (
        "import contextlib, io, sys\n"
        "from whywait.__main__ import main\n"
        f"for words in {asked!r}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as said:\n"
        "        sys.argv = ['whywait', *words, '--help']\n"
        "        with contextlib.suppress(SystemExit):\n"
        "            assert main() == 0, words\n"
        "        assert 'usage:' in said.getvalue().lower(), words\n"
        "    late = {'asyncio', 'httpx', 'numpy', 'opentelemetry', 'pandas', 'pyarrow', 'requests', 'rich.console', 'sklearn'}\n"
        "    assert not late & {*sys.modules}, (words, late & {*sys.modules})\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=120)


def test_help_causes_and_version() -> None:
    assert "whywait run" in whywait("--help").stdout
    assert "loop_busy" in whywait("causes").stdout
    assert whywait("--version").stdout.startswith("whywait 0")


def test_a_reader_that_leaves_early_is_no_error(good: Path) -> None:
    command = f"{sys.executable} -m whywait causes | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert "Traceback" not in done.stderr
