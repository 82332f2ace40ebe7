"""The report and the comparison as Markdown."""

import re

from tests.analysis.report.test_report import hostile_analysis
from whywait.analysis.changes.comparison import compare
from whywait.analysis.report.markdown import diff_markdown, report_markdown
from whywait.analysis.verdicts.sentences import verdict


def test_what_a_trace_says_is_no_markup() -> None:
    text = report_markdown(hostile_analysis())
    assert not re.search(r"(?<!\\)[<>`\[\]]", text)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_it_has_a_row_and_a_paragraph_for_each_endpoint() -> None:
    found = hostile_analysis()
    text = report_markdown(found)
    (one,) = verdict(found)
    assert text.count("| chief cause |") == 1
    assert f"| {one.judgement.requests} |" in text
    assert "- What to change: " in text
    assert str(one.judgement.reasons[0].cause).replace("_", "\\_") in text


def test_a_comparison_says_what_changed_and_how_it_was_divided() -> None:
    found = hostile_analysis()
    text = diff_markdown(compare(found, found))
    assert text.count("**") >= 2
    assert "nearest rank" in text
