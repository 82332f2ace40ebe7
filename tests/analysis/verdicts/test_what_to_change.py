"""The one table of remedies: its keys, its words, and that report, diff and JSON read the same."""

import pytest

from tests.analysis.fabricate import Culprit, analysis_of
from whywait import analysis
from whywait.analysis.causes import Cause
from whywait.analysis.model import Analysis
from whywait.analysis.report.json.diff import diff_as_json
from whywait.analysis.report.json.report import as_json
from whywait.analysis.situations.situation import Pattern, Situation
from whywait.analysis.verdicts.remedies import REMEDIES, remedy


def queue(count: int, wait_ms: float) -> Analysis:
    """Return requests of one job each, so that they queue behind one another."""
    return analysis_of(
        {"GET /a": [{"pool_queue": wait_ms + number / 100, "compute": 10} for number in range(count)]},
        culprits={"pool_queue": Culprit("predict")}, jobs={"GET /a": [{"name": "predict"}]},
    )  # fmt: skip


def test_report_diff_and_json_say_the_same() -> None:
    before, after = queue(200, 10), queue(200, 90)
    found = analysis.compare(before, after, 50)
    (change,) = found.changes
    wanted = {"key": "pool_queue/few_jobs", "text": REMEDIES[Cause.POOL_QUEUE, Situation.FEW_JOBS]}
    assert diff_as_json(found, (before, after))["endpoints"][0]["remedy"] == wanted
    assert as_json(after)["endpoints"][0]["reasons"][0]["remedy"] == wanted
    (told,) = analysis.verdict(after)
    assert change.remedy is not None
    assert change.remedy.text == told.remedy == wanted["text"]


@pytest.mark.parametrize("percentile", [50, 95, 99])
def test_report_and_diff_have_one_definition_of_a_percentile(percentile: int) -> None:
    given = queue(137, 20)
    (change,) = analysis.compare(given, given, percentile).changes
    (endpoint,) = as_json(given)["endpoints"]
    assert endpoint[f"p{percentile}_ns"] == change.before_ns == change.after_ns
    assert change.before_ns in set(given.requests["wall_ns"])


def test_a_remedy_names_whom_it_speaks_of() -> None:
    found = Pattern(Situation.CPU_OTHER_PROCESSES, None, {"name": "process stress"})
    assert remedy(Cause.CPU_WAIT, [found]).text.startswith("Move process stress off")
    assert remedy(Cause.CPU_WAIT, [found]).key == "cpu_wait/cpu_other_processes"
    assert remedy(Cause.LOCK_WAIT, [found]).key == "lock_wait"


def test_every_remedy_is_for_a_known_cause_and_situation() -> None:
    assert {cause for cause, _ in REMEDIES} <= set(Cause)
    assert {kind for _, kind in REMEDIES} <= set(Situation)
