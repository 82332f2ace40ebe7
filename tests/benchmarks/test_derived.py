"""The page of causes and the dashboard say what the records of causes say."""

from benchmarks.derived import DASHBOARD, PAGE, QUEUES, derived, markdown_table
from whywait.analysis.causes import Cause


def test_what_derives_from_the_causes_is_written() -> None:
    stale = [path.name for path, text in derived() if path.read_text() != text]
    assert stale == [], "run `python -m benchmarks.derived`"


def test_every_cause_has_a_row_in_the_table() -> None:
    assert [cause for cause in Cause if f"`{cause}`" not in markdown_table()] == []


def test_each_derived_part_has_its_place() -> None:
    assert PAGE.read_text().count("<!-- causes") == PAGE.read_text().count("<!-- end of causes") == 1
    assert DASHBOARD.read_text().count(QUEUES) == 1
