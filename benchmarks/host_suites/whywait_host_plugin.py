"""A pytest plugin: the same two things for suites that pytest runs. Told by HOST_MODE, HOST_RESULTS, HOST_OUTPUT."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tracing import Tracing

_tracing = Tracing(os.environ["HOST_MODE"], Path(os.environ["HOST_OUTPUT"]))
_outcomes: dict[str, tuple[str, str]] = {}


def pytest_configure(config: pytest.Config) -> None:
    """Before anything of the suite is imported."""
    _tracing.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Fixtures run inside the request as well: the loop of an async test may be made by one."""
    _write({"id": item.nodeid, "outcome": "started", "detail": ""})
    _tracing.begin_test(item.nodeid)
    try:
        return (yield)
    finally:
        _tracing.end_test()
        outcome, detail = _outcomes.pop(item.nodeid, ("ok", ""))
        _write({"id": item.nodeid, "outcome": outcome, "detail": detail})


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The worst of setup, call and teardown is the test's outcome."""
    if report.failed:
        _outcomes[report.nodeid] = ("fail", str(report.longrepr)[-4_000:])
    elif report.skipped and report.nodeid not in _outcomes:
        _outcomes[report.nodeid] = ("expected failure" if hasattr(report, "wasxfail") else "skip", "")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported is a failed test of that name."""
    if report.failed:
        _write({"id": report.nodeid, "outcome": "fail", "detail": str(report.longrepr)[-4_000:]})


def pytest_unconfigure(config: pytest.Config) -> None:
    """The tracer's own report is the last line."""
    _write({"report": _tracing.stop()})


def _write(line: dict[str, Any]) -> None:
    with open(os.environ["HOST_RESULTS"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
