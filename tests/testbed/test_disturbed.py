"""Tests that the machine disturbed: run again, then counted; too many of them fail the run."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from testbed.disturbed import too_many, truth_cases

pytest_plugins = ["pytester"]

CONFTEST = """
from testbed.disturbed import pytest_runtest_makereport, pytest_runtest_protocol
from testbed.disturbed import pytest_sessionfinish, pytest_terminal_summary
"""

TESTS = """
import pytest
from testbed.disturbed import disturbed

made = []

@pytest.fixture(scope="module")
def measured():
    made.append(len(made))
    return len(made)

def test_settles(measured):
    if measured < 3:
        disturbed("the machine was busy")

def test_never_settles(measured, tmp_path):
    disturbed("the machine was busy")

def test_is_skipped():
    pytest.skip("no device")

def test_ran_how_often(measured):
    assert measured == 3 + 2
"""


def test_it_runs_again_with_fresh_fixtures_and_is_counted(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    pytester.syspathinsert(Path(__file__).parents[2])
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")
    done.assert_outcomes(passed=2, skipped=2)
    done.stdout.fnmatch_lines(["*2 skipped, by reason*", "*1  the machine was busy", "*1  no device"])


def test_more_than_one_in_twenty_truth_cases_skipped_fails() -> None:
    def stats(skipped: int, passed: int) -> dict[str, list[SimpleNamespace]]:
        cases = [SimpleNamespace(nodeid=f"tests/truth/test_x.py::{number}") for number in range(skipped + passed)]
        others = [SimpleNamespace(nodeid="tests/tracer/test_y.py::y")] * 100
        return {"skipped": cases[:skipped], "passed": [*cases[skipped:], *others]}

    assert truth_cases(stats(5, 95)) == (5, 100)
    assert not too_many(*truth_cases(stats(5, 95)))
    assert too_many(*truth_cases(stats(6, 94)))
    assert not too_many(*truth_cases(stats(3, 9)))  # chosen by hand
