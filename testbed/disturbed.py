"""What the machine disturbed is run again, and what was skipped is counted by its reason.

tests/conftest.py takes its hooks from here. A test whose truth did not come about, since something else had the
CPU, calls `disturbed`: it runs again, with fresh fixtures, and counts as skipped when that happens a third time.
Where more than one in twenty truth cases was skipped, the run fails: it has not tested what it says it tests.

A test that failed while other programs used the CPUs runs again, too; it counts as failed when it fails each time, and
as failed at once where they did not. What passed only so is listed at the end of the run.
"""

from collections import Counter
from collections.abc import Generator
from os import sched_getaffinity
from typing import Any, NoReturn

import pytest
from _pytest.runner import runtestprotocol

from testbed.machine import others_since_now

RUNS = 3
OTHERS = 0.02
"""Of the CPUs' time, used by programs that no test started: a test that failed meanwhile is run again."""
TRUTH = ("tests/truth/", "tests/benchmarks/truth/")
SKIPPED_AT_MOST = 0.05
FEW = 40
"""A run of fewer truth cases was asked for by hand: one skip of those would be a large share."""


class Disturbed(pytest.skip.Exception):
    """The machine did something else: this run of the test shows nothing."""


def disturbed(reason: str) -> NoReturn:
    raise Disturbed(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    report.disturbed = call.excinfo is not None and call.excinfo.errisinstance(Disturbed)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    failed_first = ""
    for run in range(RUNS):
        others = others_since_now()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        failed = [one for one in reports if one.failed]
        said = ""
        if failed and not hasattr(item.config, "workerinput"):  # where tests run at once they are others to each other
            share = others() / len(sched_getaffinity(0))
            said = f"{item.nodeid}: {failed[0].head_line}, others used {share:.0%} of the CPUs"
            again = share > OTHERS
        else:
            again = any(one.disturbed for one in reports)
        if run == RUNS - 1 or not again:
            break
        failed_first = failed_first or said
        item.session._setupstate.teardown_exact(None)  # so that a fixture of the module measures anew
    for report in reports:
        report.failed_first = failed_first
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and exitstatus == pytest.ExitCode.OK and too_many(*truth_cases(reporter.stats)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reasons = Counter(_reason(one) for one in terminalreporter.stats.get("skipped", ()))
    if reasons:
        terminalreporter.section(f"{sum(reasons.values())} skipped, by reason")
    for reason, times in reasons.most_common():
        terminalreporter.write_line(f"{times:4}  {reason}")
    passed = [one for one in terminalreporter.stats.get("passed", ()) if one.when == "call" and one.failed_first]
    if passed:
        terminalreporter.section(f"{len(passed)} passed when run again")
    for one in passed:
        terminalreporter.write_line(one.failed_first)
    skipped, cases = truth_cases(terminalreporter.stats)
    if cases:
        terminalreporter.write_line(f"truth cases: {cases}, skipped: {skipped} ({skipped / cases:.1%})")
    if too_many(skipped, cases):
        terminalreporter.write_line(
            f"FAILED: more than {SKIPPED_AT_MOST:.0%} of the truth cases were skipped", red=True
        )


def _reason(report: Any) -> str:
    found = report.longrepr
    reason = str(found[2] if isinstance(found, tuple) else found)
    return reason.removeprefix("Skipped: ").removeprefix(f"{Disturbed.__module__}.Disturbed: ")


def truth_cases(stats: dict[str, list[Any]]) -> tuple[int, int]:
    """How many truth cases were skipped, and how many there were."""
    skipped, ran = (
        {one.nodeid for kind in kinds for one in stats.get(kind, ()) if one.nodeid.startswith(TRUTH)}
        for kinds in (("skipped",), ("passed", "failed"))
    )
    return len(skipped), len(skipped | ran)


def too_many(skipped: int, cases: int) -> bool:
    return cases >= FEW and skipped > SKIPPED_AT_MOST * cases
