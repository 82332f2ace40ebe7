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


FAILS = """
import subprocess, sys, time
import pytest

runs = []

@pytest.fixture
def others():
    # a program that uses a CPU and that no test started: its parent has ended
    burn = "import time\\nwhile time.process_time() < 2: pass"
    begun = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}], start_new_session=True)"
    subprocess.run([sys.executable, "-c", begun], check=True)
    time.sleep(0.5)

def test_fails_once_beside_others(others):
    runs.append(1)
    assert len(runs) > 1, "as it was"

def test_fails_always_beside_others(others):
    raise ValueError("as it is")
"""


def test_a_failure_beside_other_programs_is_run_again_and_told(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(FAILS)
    pytester.syspathinsert(Path(__file__).parents[2])
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*1 passed when run again*", "*test_fails_once_beside_others*of the CPUs"])


def test_a_failure_is_run_again_only_beside_other_programs(pytester: pytest.Pytester) -> None:
    """With the others' share as it would be on a quiet machine, which no test can make."""
    pytester.makeconftest(f"{CONFTEST}\nimport testbed.disturbed\ntestbed.disturbed.OTHERS = 1.1")
    pytester.makepyfile("runs = []\ndef test_it():\n    runs.append(1)\n    assert len(runs) > 1")
    pytester.syspathinsert(Path(__file__).parents[2])
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q").assert_outcomes(failed=1)


def test_more_than_one_in_twenty_truth_cases_skipped_fails() -> None:
    def stats(skipped: int, passed: int) -> dict[str, list[SimpleNamespace]]:
        cases = [SimpleNamespace(nodeid=f"tests/truth/test_x.py::{number}") for number in range(skipped + passed)]
        others = [SimpleNamespace(nodeid="tests/tracer/test_y.py::y")] * 100
        return {"skipped": cases[:skipped], "passed": [*cases[skipped:], *others]}

    assert truth_cases(stats(5, 95)) == (5, 100)
    assert not too_many(*truth_cases(stats(5, 95)))
    assert too_many(*truth_cases(stats(6, 94)))
    assert not too_many(*truth_cases(stats(3, 9)))  # chosen by hand
