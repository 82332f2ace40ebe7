"""Requests that failed are told by status, with their own times; and both times of requests are told where they differ."""

import pytest

from tests.analysis.drawing import drawn
from tests.analysis.fabricate import MS, analysis_of
from whywait.analysis import analyze
from whywait.analysis.measure.felt import both, differ
from whywait.analysis.model import Analysis
from whywait.analysis.report.json.report import as_json
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.sentences import Verdict, verdict
from whywait.analysis.verdicts.short_answer import answer
from whywait.tracer import schema


def half_fail(slow_ms: float, fast_ms: float) -> Analysis:
    given = analysis_of({"GET /x": [{"await_io": slow_ms}, {"await_io": fast_ms}] * 10})
    failed = given.requests.index % 2 == 0
    given.requests.loc[failed, "status_code"] = 500
    given.requests.loc[failed, "error"] = True
    given.requests.loc[failed, "error_type"] = "TimeoutError"
    return given


def told_of(given: Analysis) -> Verdict:
    (one,) = verdict(given)
    return one


@pytest.mark.parametrize(("failed_ms", "well_ms"), [(1000, 1), (1, 1000)])
def test_the_failed_are_counted_by_status_with_their_own_times(failed_ms: float, well_ms: float) -> None:
    one = told_of(half_fail(failed_ms, well_ms))
    (found,) = (of.numbers for of in one.judgement.situations if of.kind is Situation.FAILED_REQUESTS)
    assert [found[name] for name in ("status", "error", "requests", "of")] == ["500", "TimeoutError", 10, 20]
    assert (found["p50_ns"], found["others_p50_ns"]) == (failed_ms * MS, well_ms * MS)
    said = " ".join(one.situations)
    assert f"10 of 20 requests ended with 500 (TimeoutError): p50 {'1,000' if failed_ms > 1 else '1.0'} ms" in said
    assert f"; the others: p50 {'1.0' if failed_ms > 1 else '1,000'} ms." in said


def test_errors_of_the_client_and_errors_without_a_status_are_others() -> None:
    given = half_fail(10, 20)
    given.requests.loc[given.requests.index[:4], "status_code"] = [404, 200, None, 404]
    kinds = [of.numbers for of in told_of(given).judgement.situations if of.kind is Situation.FAILED_REQUESTS]
    assert [(one["status"], one["requests"]) for one in kinds] == [("500", 8), ("404", 2), ("an error", 1)]


def test_where_all_succeed_nothing_is_said_of_failures() -> None:
    assert not told_of(analysis_of({"GET /x": [{"await_io": 20}] * 3})).judgement.situations


@pytest.mark.parametrize(("first_ms", "is_told"), [(200, True), (990, False), (0, False)])
def test_a_response_in_parts_is_told_by_its_first_and_its_last(first_ms: float, is_told: bool) -> None:
    given = analysis_of({"GET /x": [{"await_io": 1_000}] * 4})
    given.requests["first_byte_ns"] = int(first_ms * MS)
    one = told_of(given)
    said = "4 answers came in parts: the first after 200 ms (p50; p99 200 ms), the last 800 ms later (p50)."
    assert (said in one.text) == is_told
    assert ([of.kind for of in one.judgement.situations] == [Situation.STREAMED]) == is_told


def test_bytes_that_nagles_algorithm_held_have_a_remedy_of_their_own() -> None:
    # they left after the window: no wait of the request is significant
    for nagle in (True, False):
        spans = drawn(
            "server GET  |-----|\ntask root GET |-----|  from=kernel cpu=8", {"root": {schema.EGRESS_NAGLE: nagle}}
        )
        one = told_of(analyze(spans))
        assert ("TCP_NODELAY is off" in one.text, "Set TCP_NODELAY" in one.remedy) == (nagle, nagle)
        assert ("Nothing significant" in one.text) != nagle
        assert answer(one).cause == ("request_io" if nagle else "")


def test_both_times_are_told_where_they_differ_and_only_one_where_not() -> None:
    apart = analysis_of({"GET /x": [{"ingress_wait": 930, "await_io": 61}] * 5})
    one = told_of(apart)
    assert "p50 991 ms, p99 991 ms felt by clients (61.0 ms and 61.0 ms in the handler)" in one.headline
    assert one.judgement.handler_ns == (61 * MS,) * 3
    near = told_of(analysis_of({"GET /x": [{"ingress_wait": 1, "await_io": 99}] * 5}))
    assert "in the handler" not in near.text
    assert near.judgement.handler_ns == ()
    (as_data,) = as_json(apart)["endpoints"]
    assert (as_data["p95_ns"], as_data["handler_p95_ns"]) == (991 * MS, 61 * MS)
    assert as_json(apart)["slowest"][0]["handler_ns"] == 61 * MS


def test_the_words_of_one_request() -> None:
    assert both({"wall_ns": 991 * MS, "handler_ns": 61 * MS}) == "991 ms felt by the client, 61.0 ms in the handler"
    assert both({"wall_ns": 100 * MS, "handler_ns": 98 * MS}) == "100 ms"
    assert not differ(0, 0)
