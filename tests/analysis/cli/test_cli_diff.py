"""`whywait diff` as a user meets it: a real process on the committed recording."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from tests.analysis.cli.test_cli import GOOD, ROOT, refused, whywait
from tests.analysis.report.test_report import conforms

THREADED, BATCHED = (str(ROOT / f"notebooks/recording/{name}.jsonl.gz") for name in ("threaded", "batched"))
CHOSEN = ("--endpoint", "to_thread", "--against", "batch", "--percentile", "50")


@pytest.fixture
def good(tmp_path: Path) -> str:
    path = tmp_path / "traces.jsonl"
    path.write_text(GOOD + "\n")
    return str(path)


def test_it_says_what_changed_and_who() -> None:
    done = whywait("diff", THREADED, BATCHED, *CHOSEN)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    for words in ("faster", "queued for a worker of a pool", "Predictor.predict_one", "sum to its difference"):
        assert words in told
    assert "\x1b" not in done.stdout


def test_json_sums_to_the_nanosecond_and_keeps_to_its_schema() -> None:
    done = whywait("diff", THREADED, BATCHED, *CHOSEN, "--json")
    told = json.loads(done.stdout)
    conforms(told, json.loads(files("whywait.analysis.report.json").joinpath("diff_schema.json").read_text()), "$")
    (endpoint,) = told["endpoints"]
    assert sum(cause["delta_ns"] for cause in endpoint["causes"]) == endpoint["delta_ns"] < 0
    assert endpoint["blamed"] == ["pool_queue"]


def test_slower_can_fail_a_build_and_faster_does_not() -> None:
    back = ("--endpoint", "batch", "--against", "to_thread", "--percentile", "50", "--fail-if-slower")
    slower = whywait("diff", BATCHED, THREADED, *back)
    assert (slower.returncode, slower.stderr) == (1, "")
    assert "What to change" in slower.stdout
    assert whywait("diff", THREADED, BATCHED, *CHOSEN, "--fail-if-slower").returncode == 0


def test_the_same_run_twice_has_no_culprit() -> None:
    done = whywait("diff", THREADED, THREADED, "--percentile", "50", "--fail-if-slower", "--json")
    assert done.returncode == 0
    (endpoint,) = json.loads(done.stdout)["endpoints"]
    assert (endpoint["delta_ns"], endpoint["blamed"], endpoint["certain"]) == (0, [], False)
    assert "no change beyond chance" in endpoint["text"]


def test_what_cannot_be_compared_gets_one_clear_line(good: str, tmp_path: Path) -> None:
    refused(whywait("diff", good, str(tmp_path / "nowhere.jsonl")), "nowhere.jsonl", "does not exist")
    refused(whywait("diff", good), "AFTER")
    refused(whywait("diff", "-", "-", stdin=GOOD), "standard input")
    refused(whywait("diff", good, good, "--percentile", "100"), "--percentile", "under 100")
    refused(whywait("diff", good, good, "--against", "x"), "--endpoint")
    refused(whywait("diff", good, good, "--endpoint", "/nope"), "/nope", "GET /")
    refused(whywait("diff", THREADED, BATCHED), "no endpoint in common", "--against")


def test_a_cut_off_gzip_file_gets_one_clear_line(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(Path(BATCHED).read_bytes()[:5000])
    refused(whywait("report", str(cut)), "cut.jsonl.gz", "gzip")
    cut.write_bytes(b"no gzip at all")
    refused(whywait("report", str(cut)), "cut.jsonl.gz", "gzip")


def test_one_side_may_come_from_a_pipe(good: str) -> None:
    done = whywait("diff", good, "-", stdin=GOOD)
    assert done.returncode == 0, done.stderr
    assert "too few to distinguish" in " ".join(done.stdout.split())
