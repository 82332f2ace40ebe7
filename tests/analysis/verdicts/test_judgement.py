"""What is significant, at its bounds; the situations beyond single waits; and what is never said."""

from dataclasses import replace

import pytest

from tests.analysis.drawing import drawn
from tests.analysis.fabricate import MS, Culprit, analysis_of, random_analysis
from whywait import analysis
from whywait.analysis.causes import INFO, Cause
from whywait.analysis.situations.situation import Situation
from whywait.analysis.text import place
from whywait.analysis.verdicts.judgement import judge
from whywait.analysis.verdicts.remedies import REMEDIES
from whywait.analysis.verdicts.sentences import verdict
from whywait.tracer import schema


@pytest.mark.parametrize(
    ("wait_ms", "compute_ms", "significant"),
    [(0.9, 1, False), (1.1, 1, True), (4.9, 95.1, False), (5.1, 94.9, True)],
    ids=["below 1 ms", "above 1 ms", "below 5%", "above 5%"],
)
def test_what_is_significant(wait_ms: float, compute_ms: float, significant: bool) -> None:
    (told,) = verdict(analysis_of({"GET /a": [{"compute": compute_ms, "pool_queue": wait_ms}] * 3}))
    assert [reason.cause for reason in told.judgement.reasons] == [Cause.POOL_QUEUE] * significant


def test_a_full_pool_is_told_with_its_proof() -> None:
    (told,) = verdict(
        analysis_of(
            {"POST /predict": [{"pool_queue": 495, "compute": 317}] * 4},
            culprits={"pool_queue": Culprit("predict_one", "/srv/app/model.py", 12)},
            details={"pool_queue": "pool 'default' (6 workers)"},
        )
    )
    (reason,) = told.judgement.reasons
    assert reason.share == pytest.approx(495 / 812)
    assert reason.mean_ns == 495 * MS
    assert (reason.culprit, place(reason.culprit_file, reason.culprit_line)) == ("predict_one", "app/model.py:12")
    assert reason.other_requests_share == pytest.approx(1.0)
    for words in ("812 ms", "495 ms (61%)", "'default' (6 workers)", "predict_one", "100% of it by other requests"):
        assert words in told.text


def test_the_endpoint_of_those_ahead_is_told_where_it_is_another() -> None:
    given = analysis_of(
        {"GET /a": [{"pool_queue": 50}] * 4, "GET /b": [{"compute": 50}] * 4}, culprits={"pool_queue": Culprit("rank")}
    )
    for number, endpoint in ((1, ""), (5, "GET /b")):
        culprits = given.culprits.assign(culprit_trace_id=f"{number:032x}")
        (told, *_) = verdict(replace(given, culprits=culprits))
        assert told.judgement.reasons[0].other_endpoint == endpoint
        assert ("by other requests, most of it by GET /b" in told.text) is bool(endpoint)


def test_what_a_request_did_to_itself_is_not_called_other_requests() -> None:
    own = {"pool_queue": Culprit("predict_one", other_request=False)}
    (told,) = verdict(analysis_of({"GET /a": [{"pool_queue": 50}]}, culprits=own))
    assert told.judgement.reasons[0].other_requests_share == 0
    assert "other requests" not in told.text


def test_what_cannot_be_told_is_said_and_nobody_is_blamed() -> None:
    (told,) = verdict(
        analysis_of({"GET /a": [{"compute": 50, "unexplained": 50}]}, details={"unexplained": "GIL or native"})
    )
    assert told.reasons == ()
    assert "Unexplained: 50.0 ms (50%); chiefly: GIL or native" in told.text
    assert "Nothing significant" not in told.text


def test_the_longest_reason_first_and_the_costliest_endpoint_first() -> None:
    told = verdict(
        analysis_of({
            "GET /rare": [{"pool_queue": 900}],
            "GET /often": [{"loop_busy": 100, "pool_queue": 200}] * 9,
        })
    )  # fmt: skip
    assert [one.endpoint for one in told] == ["GET /often", "GET /rare"]
    assert [reason.cause for reason in told[0].judgement.reasons] == [Cause.POOL_QUEUE, Cause.LOOP_BUSY]


@pytest.mark.parametrize(("second_ms", "is_told"), [(60, True), (40, False)])
def test_of_two_causes_that_are_nearly_alike_the_second_ones_remedy_is_told_too(second_ms: int, is_told: bool) -> None:
    waits = {"GET /a": [{"pool_queue": 100, "gc_pause": second_ms, "lock_wait": second_ms - 10}] * 3}
    (told,) = verdict(analysis_of(waits))
    assert told.remedy == told.judgement.reasons[0].remedy.text
    assert told.reasons[1].endswith(f"What to change about it: {INFO[Cause.GC_PAUSE].remedy}") is is_told
    assert "What to change" not in told.reasons[0] + told.reasons[2]


def test_many_jobs_of_one_function_call_for_a_batch() -> None:
    waits = {"GET /a": [{"pool_queue": 50, "compute": 10}] * 2}
    (told,) = verdict(analysis_of(waits, jobs={"GET /a": [{"name": "predict"}] * 14}))
    assert any("14 jobs of predict to a pool; one batch would serve" in said for said in told.situations)
    blocked = {"GET /a": [{"pool_queue": 50, "blocking_io": 100, "compute": 10}] * 2}
    (asking,) = verdict(analysis_of(blocked, jobs={"GET /a": [{"name": "fetch"}] * 14}))
    assert any("14 jobs of fetch to a pool; where one call can ask for all" in said for said in asking.situations)
    summed = [{"name": "predict", schema.COUNT: 7_000}]
    (streams,) = verdict(analysis_of(waits, jobs={"GET /a": summed}))
    assert any("7,000 jobs of predict to a pool, one after another" in said for said in streams.situations)
    assert told.remedy == INFO[Cause.POOL_QUEUE].remedy
    (few,) = verdict(analysis_of(waits, jobs={"GET /a": [{"name": "predict"}] * 2}))
    assert few.situations == ()
    assert few.remedy == REMEDIES[Cause.POOL_QUEUE, Situation.FEW_JOBS]  # there is little of its own to batch


@pytest.mark.parametrize(("age_ms", "fresh"), [(0, True), (5_000, False)])
def test_a_pool_younger_than_its_request_was_made_for_it(age_ms: int, fresh: bool) -> None:
    job = {
        schema.POOL_NAME: "own", schema.POOL_AGE_NS: age_ms * MS, schema.POOL_FILE: "/srv/modes.py",
        schema.POOL_LINE: 31,
    }  # fmt: skip
    (told,) = verdict(analysis_of({"GET /a": [{"pool_startup": 50}] * 2}, jobs={"GET /a": [job]}))
    assert any("made for each request (srv/modes.py:31)" in said for said in told.situations) == fresh


@pytest.mark.parametrize(("occupied_ms", "is_said"), [(0.1, False), (5, True)])
def test_who_has_none_of_a_hundred_parts_is_not_said(occupied_ms: float, *, is_said: bool) -> None:
    found = {
        "q": {
            schema.POOL_NAME: "work", schema.POOL_SIZE: 2, schema.OCCUPANT_NAMES: ["open"],
            schema.OCCUPANT_TRACE_IDS: [""], schema.OCCUPANT_SPAN_IDS: [""], schema.OCCUPANT_OTHER_NS: 0,
            schema.OCCUPANT_NS: [round(occupied_ms * MS)],
        }
    }  # fmt: skip
    (told,) = verdict(
        analysis.analyze(
            drawn(
                f"""
        server GET        |{"-" * 60}|
        task   root GET   |{"-" * 60}|
        wait   w    root  |{"-" * 60}|   type=await waker=job
        job    job  root  |{"-" * 60}|
        wait   q    job   |{"-" * 55}|   type=pool_queue
    """,
                found,
            )
        )
    )
    assert ("open" in told.reasons[0]) is is_said


def test_one_blocker_of_many_is_a_situation() -> None:
    (told,) = verdict(
        analysis_of({"GET /a": [{"loop_busy": 50}] * 5}, culprits={"loop_busy": Culprit("rank", "r.py", 3)})
    )
    assert told.situations == ("1 request blocked the loop for 5 others.",)


@pytest.mark.parametrize("seed", range(5))
def test_shares_stay_shares_whatever_the_traces(seed: int) -> None:
    for told in judge(random_analysis(seed, 40)):
        assert 0 <= told.unexplained_share <= 1
        assert sum(reason.share for reason in told.reasons) <= 1 + 1e-9
        assert all(reason.mean_ns >= 1 * MS and reason.share >= 0.05 for reason in told.reasons)
        assert not {reason.cause for reason in told.reasons} & {Cause.COMPUTE, Cause.UNEXPLAINED}


def test_no_requests_no_verdict() -> None:
    assert verdict(analysis_of({})) == []


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("/srv/shop/app/model.py", "app/model.py:3"),
        ("/v/lib/python3.11/site-packages/starlette/middleware/base.py", "starlette/middleware/base.py:3"),
        ("/v/lib/python3.11/site-packages/./shop/api/model.py", "api/model.py:3"),  # the service, installed
        ("/usr/lib/python3.11/asyncio/queues.py", "asyncio/queues.py:3"),
    ],
)
def test_a_place_in_an_installed_package_begins_with_its_name(file: str, said: str) -> None:
    assert place(file, 3) == said
