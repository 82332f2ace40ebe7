"""What counts as a difference, and what explains one."""

import re

from benchmarks.host_suites.compare import Difference, Explanation, differing, parse_run, reason_for
from benchmarks.host_suites.page import SuiteResult, page
from benchmarks.host_suites.tracing import MODES


def line(name: str, outcome: str) -> dict[str, str]:
    return {"id": name, "outcome": outcome, "detail": ""}


REPORT: dict[str, object] = {"report": {"faults": [], "spans": 3}}


def difference(plain: str, traced: str, test: str = "test.test_x.T.test_a") -> Difference:
    return Difference("3.12.1", "test_x", "started", test, tuple(plain.split()), tuple(traced.split()), "")


def test_the_same_outcomes_differ_nowhere() -> None:
    one = parse_run([line("a", "started"), line("a", "ok"), REPORT], "ok", 1.0)
    assert one.outcomes == {"a": "ok", "(process)": "ok"}
    assert one.spans == 3
    assert differing(one, parse_run([line("a", "ok"), REPORT], "ok", 1.0)) == []


def test_a_test_that_fails_or_is_missing_with_the_tracer_differs() -> None:
    plain = parse_run([line("a", "ok"), line("b", "skip"), line("c", "ok"), REPORT], "ok", 1.0)
    traced = parse_run([line("a", "fail"), line("c", "ok"), REPORT], "ok", 1.0)
    assert differing(plain, traced) == ["a", "b"]


def test_a_failed_subtest_is_not_forgiven_by_its_test() -> None:
    assert parse_run([line("a", "fail"), line("a", "ok"), REPORT], "ok", 1.0).outcomes["a"] == "fail"


def test_a_crash_is_one_difference_however_much_it_left_undone() -> None:
    plain = parse_run([line("a", "started"), line("a", "ok"), REPORT], "ok", 1.0)
    crashed = parse_run([line("a", "started")], "exit -11", 1.0)
    assert differing(plain, crashed) == ["(process)"]
    assert crashed.outcomes["a"] == "started"


def test_a_process_that_left_early_without_a_word_differs() -> None:
    plain = parse_run([line("a", "ok"), REPORT], "ok", 1.0)
    assert differing(plain, parse_run([line("a", "ok")], "ok", 1.0)) == ["(process)"]


def test_a_fault_of_the_tracer_is_a_difference_though_all_tests_pass() -> None:
    plain = parse_run([line("a", "ok"), REPORT], "ok", 1.0)
    traced = parse_run([line("a", "ok"), {"report": {"faults": ["probe loop had to be removed"]}}], "ok", 1.0)
    assert differing(plain, traced) == ["(fault) probe loop had to be removed"]


def test_what_came_back_when_run_again_is_real_and_what_did_not_is_flaky() -> None:
    assert difference("ok ok ok", "fail fail ok").is_real()
    assert not difference("ok ok ok", "fail ok ok").is_real()
    assert not difference("ok fail ok", "fail fail ok").is_real()
    assert not difference("fail fail ok", "ok ok ok").is_real()
    assert difference("ok ok ok", "ok fail ok").is_real()


def test_an_explanation_covers_by_pattern_and_only_what_it_names() -> None:
    known = [Explanation(test="*.test_a", python="3.12.*", reason="because")]
    assert reason_for(difference("ok ok", "fail fail"), known) == "because"
    assert reason_for(difference("ok ok", "fail fail", "test.test_x.T.test_b"), known) is None


def test_the_page_names_each_difference_until_it_is_explained() -> None:
    runs = {mode: parse_run([line("a", "ok"), REPORT], "ok", 1.0) for mode in MODES}
    result = SuiteResult("3.12.1", "test_x", "", runs, [difference("ok ok", "fail fail")])
    text, unexplained = page([result], ["python3.9: absent"], [])
    assert len(unexplained) == 1
    assert "**1 unexplained**" in text
    assert "skipped: python3.9: absent" in text
    text, unexplained = page([result], [], [Explanation(test="*", reason="It must be so")])
    assert unexplained == []
    assert "**It must be so**" in text


def test_a_row_that_is_not_run_again_is_kept_with_its_day() -> None:
    runs = {mode: parse_run([line("a", "ok"), REPORT], "ok", 1.0) for mode in MODES}
    both = [SuiteResult("3.11.7", "one", "", runs), SuiteResult("3.11.7", "two", "", runs)]
    first = re.sub("when: [0-9-]+", "when: 2020-02-20", page(both, [], [])[0])
    again = page(both[:1], [], [], first)[0]
    assert "| `one` |" in again
    assert "| `two`³ |" in again
    assert "from 2020-02-20 on" in again
    assert page(both[:1], [], [], again)[0] == again, "the row keeps its mark and its day"
