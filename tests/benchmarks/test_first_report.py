"""The first example of the README is what a reader would see."""

import re

from benchmarks.first_report import README, readme, said


def test_the_example_says_what_the_report_says_but_for_its_amounts() -> None:
    expected = readme(said())
    assert _without_amounts(expected) == _without_amounts(README.read_text())


def _without_amounts(text: str) -> list[str]:
    """The words, however the lines are broken: amounts differ from run to run."""
    return re.sub(r"\d[\d,.]*", "N", text).split()
