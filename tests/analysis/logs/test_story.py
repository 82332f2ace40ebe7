"""The story's two requests: the worked example says what the command says, and its figures are the story's."""

import json
from pathlib import Path

from tests.analysis.cli.test_cli import ROOT, refused, whywait
from whywait.analysis.logs import LoggedRequest, read_logs
from whywait.analysis.report.json import FORMAT

FOLDER = ROOT / "demo_service" / "story_logs"
MAJOR = ("START", "SUBMIT", "BEFORE_COLLECT", "AFTER_COLLECT", "END")
MS = 10**6


def request(name: str, *markers: str) -> LoggedRequest:
    (one,) = read_logs(str(FOLDER / name), markers=markers).requests
    return one


def test_the_four_phases_and_what_lies_under_no_timer() -> None:
    one = request("threads.log", *MAJOR)
    assert [stretch.ns // MS for stretch in one.stretches] == [671, 335, 1647, 178]
    assert (one.clocked_ns, one.stated_ns, one.untimed_ns) == (2831 * MS, 3087 * MS, 256 * MS)


def test_the_900_ms_are_two_silences() -> None:
    silences = [silence.ns // MS for silence in request("threads.log").silences]
    assert {481, 430} <= set(silences)


def test_the_batch_agrees_with_its_total() -> None:
    one = request("batch.log")
    assert (one.clocked_ns, one.untimed_ns) == (11_746_000, 0)
    assert read_logs(str(FOLDER / "batch.log")).findings[0].code == "delta-differs"


def test_json_is_stable_and_conserves() -> None:
    told = json.loads(whywait("logs", str(FOLDER / "threads.log"), "--json").stdout)
    assert told["format"] == FORMAT
    assert sum(row["sum_ns"] for row in told["stretches"]) == 3087 * MS
    assert sum(row["ns"] for row in told["slowest"][0]["stretches"]) == told["slowest"][0]["clocked_ns"]
    assert set(told["slowest"][0]) == {
        "request", "start_ns", "end_ns", "clocked_ns", "stated_ns", "untimed_ns", "others_in_flight", "stretches",
        "phases", "silences", "unknown",
    }  # fmt: skip


def test_hostile_lines_reach_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    path.write_text(
        "requestID: a, TS_BEFORE_X: 1747213340.1 \x1b[31m\u202e\nrequestID: a, TS_AFTER_X: 1747213340.2 \x1b]0;x\x07\n"
    )
    done = whywait("logs", str(path))
    assert done.returncode == 0, done.stderr
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout)


def test_refusals_are_one_clear_line(tmp_path: Path) -> None:
    refused(whywait("logs", str(tmp_path / "none.log")), "none.log")
    refused(whywait("logs", str(FOLDER / "batch.log"), "--request", "9"), "'9'", "223")
    refused(whywait("logs", str(FOLDER / "batch.log"), "--pattern", "("), "regular expression")


def test_a_log_comes_in_through_a_pipe() -> None:
    done = whywait("logs", "-", stdin=(FOLDER / "batch.log").read_text())
    assert "TARGET_ttft" in done.stdout
