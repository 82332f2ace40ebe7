"""Summary and verdict of drawn requests whose causes are known."""

import re

import pandas as pd
import pytest

from tests.analysis.drawing import drawn, trace_id
from whywait import analysis
from whywait.analysis.causes import INFO, Cause
from whywait.analysis.measure.summary import summarize, worst_culprits
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.remedies import REMEDIES
from whywait.analysis.verdicts.sentences import verdict
from whywait.tracer import schema

QUEUED = """
    server GET        |------------------------------|
    task   root GET   |------------------------------|   cpu=3
    wait   w    root  |---------------------------|      type=await waker=job
    job    job  root  |---------------------------|
    wait   q    job   |--------------------|             type=pool_queue
    run    run  job                        |------|      cpu=6
"""
OCCUPIED = {
    "q": {
        schema.POOL_NAME: "predict",
        schema.POOL_SIZE: 2,
        schema.OCCUPANT_NAMES: ["predict_one", "train"],
        schema.OCCUPANT_TRACE_IDS: [trace_id("b"), ""],
        schema.OCCUPANT_SPAN_IDS: ["00000000000000b1", ""],
        schema.OCCUPANT_NS: [15_000_000, 6_000_000],
        schema.OCCUPANT_OTHER_NS: 0,
    }
}
CLEAN = """
    server GET        |----------|
    task   root GET   |----------|   cpu=11
"""


def queued() -> analysis.Analysis:
    return analysis.analyze(drawn(QUEUED, OCCUPIED))


def test_shares_sum_to_one_and_nothing_is_lost() -> None:
    result = queued()
    summary = summarize(result.causes)
    assert summary["share"].sum() == pytest.approx(1)
    assert summary["total_ns"].sum() == result.requests["wall_ns"].sum()
    assert summary["cause"].iloc[0] == Cause.POOL_QUEUE


def test_a_request_without_a_cause_counts_as_zero() -> None:
    causes = pd.DataFrame(
        {
            "endpoint": "GET /", "request_id": ["1", "2", "2"], "cause": ["compute", "compute", "loop_busy"],
            "amount_ns": [10, 10, 30], "evidence": "observed",
        }
    )  # fmt: skip
    rows = summarize(causes).set_index("cause")
    assert rows.loc["loop_busy", "requests"] == 2
    assert rows.loc["loop_busy", "p50_ns"] == 0
    assert rows.loc["loop_busy", "mean_ns"] == 15


def test_summary_of_an_unknown_column_says_which_there_are() -> None:
    with pytest.raises(KeyError, match="endpoint"):
        summarize(queued().causes, by="colour")


def test_the_verdict_names_cause_culprit_and_amount() -> None:
    (found,) = verdict(queued())
    reason = found.judgement.reasons[0]
    assert reason.cause is Cause.POOL_QUEUE
    assert reason.mean_ns == 21_000_000
    assert reason.culprit == "predict_one"
    assert reason.culprit_share == pytest.approx(15 / 21)
    assert reason.other_requests_share == pytest.approx(15 / 21)
    assert "pool 'predict' (2 workers)" in found.reasons[0]
    assert "21.0 ms" in found.reasons[0]
    assert not re.search("at most|gain|save", found.text)  # what a change would bring is for `whywait whatif`
    assert (
        REMEDIES[Cause.POOL_QUEUE, Situation.FEW_JOBS] in found.text
    )  # one job per request: there is no fan-out to batch


def test_a_healthy_endpoint_blames_nobody() -> None:
    (found,) = verdict(analysis.analyze(drawn(CLEAN)))
    assert found.reasons == ()
    assert found.situations == ()
    assert "Nothing significant" in found.text
    assert worst_culprits(analysis.analyze(drawn(CLEAN)).culprits).empty


@pytest.mark.parametrize(("unit_ns", "significant"), [(1_000_000, True), (10_000, False)])
def test_waits_under_a_millisecond_are_not_significant(unit_ns: int, significant: bool) -> None:
    occupied = {"q": {**OCCUPIED["q"], schema.OCCUPANT_NS: [15 * unit_ns, 6 * unit_ns]}}
    (found,) = verdict(analysis.analyze(drawn(QUEUED, occupied, unit_ns=unit_ns)))
    assert bool(found.reasons) is significant


def test_what_cannot_be_told_is_said() -> None:
    (found,) = verdict(analysis.analyze(drawn("""
    server GET        |------------------------------|
    task   root GET   |------------------------------|   cpu=3
""")))  # fmt: skip
    assert found.reasons == ()
    assert "Unexplained: " in found.text


def test_every_cause_has_words() -> None:
    assert set(INFO) == set(Cause)
