"""What cannot be used is left out and said, once for each kind."""

import pandas as pd
import pytest

from tests.analysis.drawing import UNIT_NS, drawn, trace_id
from whywait import analysis
from whywait.tracer import schema

GOOD = """
    server GET         |-----------|
    task   root GET    |-----------|  cpu=3
    wait   w    root      |----|      waker=timer
"""


def found(spans: pd.DataFrame) -> dict[str, int]:
    return {finding.code: finding.count for finding in analysis.analyze(spans).findings}


def test_a_good_trace_has_no_findings() -> None:
    assert found(drawn(GOOD)) == {}


def test_spans_delivered_twice_count_once() -> None:
    spans = drawn(GOOD)
    twice = pd.concat([spans, spans])
    assert found(twice) == {"duplicate-span": 3}
    pd.testing.assert_frame_equal(analysis.attribute(twice), analysis.attribute(spans))


def test_spans_that_end_before_they_start_are_left_out() -> None:
    spans = drawn(GOOD)
    spans.loc[spans["name"] == "w", "end_ns"] -= 20 * UNIT_NS
    result = analysis.analyze(spans)
    assert [finding.code for finding in result.findings] == ["negative-duration"]
    assert result.findings[0].trace_ids == (trace_id("a"),)
    assert "await_io" not in set(result.causes["cause"])


def test_a_wait_longer_than_a_week_is_a_broken_clock() -> None:
    spans = drawn(GOOD)
    spans.loc[spans["name"] == "w", "end_ns"] += 8 * 24 * 3600 * 10**9
    assert found(spans) == {"endless-span": 1}


def test_a_wait_beyond_its_task_is_clipped_and_an_orphan_left_out() -> None:
    spans = drawn("""
        server GET         |-----------|
        task   root GET    |-----------|  cpu=3
        wait   w    root           |-------|  waker=timer
        wait   o    gone      |----|          waker=timer
    """)
    result = analysis.analyze(spans)
    assert {finding.code for finding in result.findings} == {"clipped-span", "orphan-span"}
    assert result.causes.loc[result.causes["span_name"] == "w", "amount_ns"].tolist() == [4 * UNIT_NS]


def test_overlapping_waits_are_cut_and_said() -> None:
    spans = drawn("""
        server GET         |-----------|
        task   root GET    |-----------|  cpu=1
        wait   w1   root     |----|       waker=timer
        wait   w2   root        |----|    type=loop_busy
    """)
    result = analysis.analyze(spans)
    assert [finding.code for finding in result.findings] == ["overlapping-waits"]
    amounts = result.causes.set_index("span_name")["amount_ns"]
    assert (amounts["w1"], amounts["w2"]) == (5 * UNIT_NS, 3 * UNIT_NS)


def test_an_incomplete_request_is_listed_but_not_analysed() -> None:
    both = drawn(GOOD + """
    server POST        |-----------|  trace=b
    task   late POST   |-----------|  trace=b
    """, {"late": {schema.INCOMPLETE: ["buffer full"], schema.LOST: 7, schema.LOST_KINDS: ["7 × request"]}})  # fmt: skip
    result = analysis.analyze(both)
    assert result.requests.set_index("endpoint")["incomplete"].to_dict() == {"GET": False, "POST": True}
    assert set(result.causes["trace_id"]) == {trace_id("a")}
    messages = {finding.code: finding for finding in result.findings}
    assert "buffer full" in messages["incomplete-trace"].message
    assert messages["incomplete-trace"].trace_ids == (trace_id("b"),)
    assert messages["lost-records"].count == 7
    assert "7 × request" in messages["lost-records"].message


def test_losses_told_at_the_ends_of_processes_are_added_up() -> None:
    spans = drawn(GOOD)
    ends = [
        spans[spans["name"] == "root"].assign(
            name=schema.LOST_SPAN, trace_id=trace_id(name), parent_id="", span_id=f"{number:016x}",
            attributes=[{"process.pid": number, schema.LOST: 5 + number, schema.LOST_KINDS: ["5 × request", f"{number} × sample"]}],
        )
        for number, name in ((1, "b"), (2, "c"))
    ]  # fmt: skip
    result = analysis.analyze(pd.concat([spans, *ends], ignore_index=True))
    (found,) = result.findings
    assert (found.code, found.count) == ("lost-records", 13)
    assert "10 × request, 3 × sample" in found.message
    assert len(result.requests) == 1


def test_a_request_whose_root_was_lost_is_not_guessed_at() -> None:
    spans = drawn(GOOD)
    result = analysis.analyze(spans[spans["name"] != "root"])
    assert result.requests["incomplete"].tolist() == [True]
    assert result.causes.empty
    assert {finding.code for finding in result.findings} == {"orphan-span", "missing-root"}


def test_a_wake_up_from_outside_the_traces_is_counted() -> None:
    spans = drawn(GOOD, {"w": {schema.WAKER_SPAN_ID: "f" * 16, schema.WAKER_KIND: "activity"}})
    assert found(spans) == {"unresolved-waker": 1}


def test_another_version_of_the_contract_is_refused() -> None:
    with pytest.raises(analysis.InputError, match="version 2 of the span contract, this whywait reads version 1"):
        analysis.attribute(drawn(GOOD, {"root": {schema.CONTRACT: 2}}))


def test_spans_without_a_request_are_refused() -> None:
    with pytest.raises(analysis.InputError, match="no request in 1 span:"):
        analysis.attribute(drawn("plain a |--|"))


def test_where_no_request_is_what_was_seen_is_told_with_what_to_add() -> None:
    block = {schema.CODE_FUNCTION: "flush", schema.CODE_FILE: "/srv/shop/jobs.py", schema.CODE_LINE: 7}
    spans = drawn("block a |--|\nblock b |-------|\nplain c |--|", {"a": block, "b": block})
    with pytest.raises(analysis.InputError) as error:
        analysis.attribute(spans)
    for words in (
        "no request in 3 spans", "@whywait.traced",
        "whywait saw flush (shop/jobs.py:7) blocked the event loop 2 times, up to 8.0 ms",
    ):  # fmt: skip
        assert words in str(error.value)
    with pytest.raises(analysis.InputError, match="saw no server that it knows"):
        analysis.attribute(drawn("plain a |--|"))


def test_request_columns() -> None:
    spans = drawn(GOOD, {"GET": {"http.route": "/rank", "http.method": "GET", "http.status_code": 503}})
    request = analysis.analyze(spans).requests.iloc[0]
    assert (request["endpoint"], request["status_code"], request["error"]) == ("GET /rank", 503, True)
    assert request["signals"] == ("loop", "thread_cpu", "run_queue", "executor")
