"""`whywait diff` as a user meets it: a real process on the committed recording."""

import json
import random
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from tests.analysis.cli.test_cli import GOOD, ROOT, refused, whywait
from tests.analysis.drawing import BEGIN_NS
from tests.analysis.otlp_writer import otlp_lines
from tests.analysis.report.test_report import conforms
from whywait.analysis.load.otlp import frame_of

THREADED, BATCHED = (str(ROOT / f"notebooks/recording/{name}.jsonl.gz") for name in ("threaded", "batched"))
CHOSEN = ("--endpoint", "to_thread", "--against", "batch", "--percentile", "50")


def steady(seed: int, count: int, typical_ms: float) -> pd.DataFrame:
    """Requests whose times vary by a tenth around one."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        start = BEGIN_NS + number * 10**9
        ids = f"{seed:016x}{number + 1:016x}", f"{seed + 1:08x}{number + 1:08x}", ""
        took = round(typical_ms * draw.lognormvariate(0, 0.1) * 1e6)
        rows.append((*ids, "GET /", "shop", "", "server", start, start + took, False, {}, []))
    return frame_of(rows)


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
    # its 21 requests take from 119 to 2,131 ms, each longer than the one before: they exclude nothing
    assert done.returncode == 3
    assert "10% slower cannot be excluded: it takes about" in done.stderr
    (endpoint,) = json.loads(done.stdout)["endpoints"]
    assert (endpoint["delta_ns"], endpoint["blamed"], endpoint["certain"], endpoint["slower"]) == (0, [], False, False)
    assert "no change of p50 beyond chance" in endpoint["text"]
    assert endpoint["whole"]["ratio"] == 1


def test_several_runs_a_side_are_compared_as_runs(tmp_path: Path) -> None:
    names = []
    for number in range(4):
        path = tmp_path / f"run{number}.jsonl"
        path.write_text(otlp_lines(steady(number, 200, 100 if number % 2 == 0 else 130)))
        names.append(str(path))
    before, after, more_before, more_after = names
    slower = whywait("diff", before, after, "--before-too", more_before, "--after-too", more_after, "--fail-if-slower")
    assert slower.returncode == 1, slower.stderr
    assert "400 requests before, 400 after" in " ".join(slower.stdout.split())
    assert whywait("diff", before, more_before, "--fail-if-slower").returncode == 0
    # a run of each kind on either side: what differs, differs within a side as well
    mixed = whywait("diff", before, after, "--before-too", more_after, "--after-too", more_before, "--fail-if-slower")
    assert mixed.returncode == 3, mixed.stdout


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
