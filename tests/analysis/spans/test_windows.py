"""What clients felt: the window from arrival to the last byte, and what the handler took of it."""

import pandas as pd

from tests.analysis.drawing import UNIT_NS, drawn, shown, trace_id
from whywait import analysis
from whywait.analysis.causes import Cause
from whywait.tracer import schema

BEHIND = """
    server GET                |-------|
    task   root GET   |------------------|    from=kernel cpu=8
    wait   b    root  |----|                  type=loop_busy
    wait   i    root       |--|               type=ingress_wait
    wait   e    root                  |--|    type=await for=egress
"""
MAILER = {
    "b": {
        schema.BLOCKER_FUNCTION: "send_mail", schema.BLOCKER_FILE: "/srv/shop/mail.py", schema.BLOCKER_LINE: 9,
        schema.BLOCKER_TRACE_ID: trace_id("b"), schema.BLOCKER_SPAN_ID: "7" * 16,
    }
}  # fmt: skip


def behind(more: dict[str, dict[str, object]] | None = None) -> analysis.Analysis:
    return analysis.analyze(drawn(BEHIND, MAILER | (more or {})))


def test_the_window_is_the_root_tasks_and_the_handler_the_server_span() -> None:
    request = behind().requests.iloc[0]
    assert (request["wall_ns"], request["handler_ns"]) == (19 * UNIT_NS, 8 * UNIT_NS)
    assert request["end_ns"] - request["start_ns"] == request["wall_ns"]


def test_what_came_before_the_server_span_has_its_causes_and_culprits() -> None:
    told = behind()
    before = told.causes[told.causes["start_ns"] < told.causes["start_ns"].min() + 8 * UNIT_NS]
    assert [row[2] for row in shown(before)][:2] == ["loop_busy", "ingress_wait"]
    assert before["amount_ns"].tolist()[:2] == [5 * UNIT_NS, 3 * UNIT_NS]
    chief = told.culprits[told.culprits["cause"] == Cause.LOOP_BUSY].iloc[0]
    assert (chief["culprit"], chief["culprit_file"], chief["culprit_line"]) == ("send_mail", "/srv/shop/mail.py", 9)


def test_a_proxys_stamp_is_inferred() -> None:
    proxy = {"i": {schema.INGRESS_FROM: schema.INGRESS_PROXY, schema.EVIDENCE: schema.EVIDENCE_INFERRED}}
    row = behind(proxy).causes.set_index("cause").loc["ingress_wait"]
    assert (row["evidence"], row["detail"]) == ("inferred", "arrived, not yet read by the server")
    assert behind().causes.set_index("cause").loc["ingress_wait", "evidence"] == "observed"


def test_a_proxys_clock_that_is_ahead_is_told_once() -> None:
    (found,) = behind({"root": {schema.INGRESS_SKEW_NS: 7_000_000}}).findings
    assert (found.code, found.count) == ("skewed-clock", 1)
    assert "by up to 7.0 ms" in found.message


def test_the_last_bytes_are_sending_the_response() -> None:
    causes = behind().causes
    assert causes.loc[causes["cause"] == Cause.REQUEST_IO, "amount_ns"].sum() == 3 * UNIT_NS


def test_work_in_the_background_after_the_response_is_not_in_the_handler() -> None:
    # the framework's span stays open until its background task is done
    told = analysis.analyze(
        drawn("""
        server GET         |------------------|
        task   root GET  |-------|               from=kernel cpu=5
        task   mail root        |-------------|  cpu=12
    """)
    )
    request = told.requests.iloc[0]
    assert (request["wall_ns"], request["handler_ns"]) == (8 * UNIT_NS, 6 * UNIT_NS)
    assert told.causes["amount_ns"].sum() == 8 * UNIT_NS


def test_traces_without_arrival_keep_the_server_span_for_window() -> None:
    told = analysis.analyze(drawn(BEHIND.replace("from=kernel", ""), MAILER))
    request = told.requests.iloc[0]
    assert request["wall_ns"] == request["handler_ns"] == 8 * UNIT_NS
    assert Cause.INGRESS_WAIT not in set(told.causes["cause"])


def test_a_request_whose_own_span_never_came_is_its_root() -> None:
    spans = drawn(BEHIND, MAILER)
    told = analysis.analyze(pd.DataFrame(spans[spans["name"] != "GET"]))
    request = told.requests.iloc[0]
    assert request["wall_ns"] == request["handler_ns"] == 19 * UNIT_NS
