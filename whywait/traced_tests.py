"""What the requests of each test waited for: the part of the pytest plugin that traces and reads.

Each test has a session of its own, from its setup to the end of its call, so a request belongs to the test that made
it. What there is to say travels as a property of the test's report: from the workers of pytest-xdist, too.

PYTEST_DONT_REWRITE
"""

import shutil
import tempfile
import warnings
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

import whywait
from whywait import analysis
from whywait.analysis.measure.selection import only_slowest
from whywait.analysis.text import amount, counted, safe
from whywait.tracer.config import KEEP_ALL, MS_NS, from_environment

_PROPERTY: Final = "whywait"
_TITLE: Final = "whywait: what the requests of tests waited for"
_LENGTH: Final = 1000  # characters of what is said of one test

Hook = Generator[None, Any, Any]


class TracedTests:
    """Hooks of pytest. Tests that have no budget of their own have `budget_ms`, or none."""

    def __init__(self, budget_ms: float | None) -> None:
        """Raises UsageError where this process cannot be traced for its tests."""
        if whywait.is_active():
            raise pytest.UsageError("this process is traced already: use --whywait, or `whywait run`, not both")
        try:
            self._config = replace(from_environment(), keep=KEEP_ALL)
        except whywait.ConfigError as error:
            raise pytest.UsageError(str(error)) from error
        self._budget_ms = budget_ms
        self._folder = Path(tempfile.mkdtemp(prefix="whywait-"))

    def pytest_unconfigure(self) -> None:
        """Remove the traces."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self) -> Hook:
        """Trace while test modules and their applications are imported: a lock is named by where it was made."""
        self._start()
        try:
            if not whywait.is_active():
                raise pytest.UsageError("whywait cannot trace here; `whywait doctor` says why")
            return (yield)
        finally:
            self._stop()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Hook:
        """Begin to trace a test."""
        self._start()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Hook:
        """Run the test, note what its requests waited for, and fail it where they exceeded its budget."""
        marker = item.get_closest_marker("whywait")
        budget_ms = self._budget_ms if marker is None else _budget(*marker.args, **marker.kwargs)
        try:
            result = yield
        except BaseException:
            self._note(item, budget_ms, asked=False)
            raise
        if exceeded := self._note(item, budget_ms, asked=marker is not None):
            pytest.fail(exceeded, pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Hook:
        """End what a failed setup has left."""
        self._stop()
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print a line for each test whose requests waited."""
        reports = [one for found in terminalreporter.stats.values() for one in found if hasattr(one, "user_properties")]
        said = {(one.nodeid, text) for one in reports for name, text in one.user_properties if name == _PROPERTY}
        if said:
            terminalreporter.section(_TITLE)
        for test, text in sorted(said):
            terminalreporter.write_line(f"{test}\n  {text}")

    def _start(self) -> None:
        whywait.start(config=replace(self._config, output=self._folder / "traces.jsonl"))

    def _stop(self) -> None:
        whywait.stop()
        (self._folder / "traces.jsonl").unlink(missing_ok=True)

    def _note(self, item: pytest.Item, budget_ms: float | None, *, asked: bool) -> str:
        """Keep one line about a test. Return why it fails, "" where it does not; `asked`: its budget is its own."""
        whywait.stop()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a test's filter may make errors of them
            try:
                found = analysis.analyze(self._folder / "traces.jsonl")
            except analysis.InputError:  # no request
                if asked:
                    line = f"no request was seen, so the budget of {budget_ms:g} ms was not tested"
                    item.user_properties.append((_PROPERTY, line))
                return ""
            slowest = only_slowest(found, 1)
            told = analysis.verdict(slowest)
        if not told:
            return ""
        felt_ns = float(slowest.requests["wall_ns"].iloc[0])
        if felt_ns >= self._config.block_ns and told[0].reasons:
            many = counted(len(found.requests), "request")
            line = f"{told[0].endpoint}: {amount(felt_ns)}, the slowest of {many}. {told[0].reasons[0]}"
            item.user_properties.append((_PROPERTY, safe(line, _LENGTH)))
        if budget_ms is None or felt_ns <= budget_ms * MS_NS:
            return ""
        return f"A client waited {amount(felt_ns)}; the budget is {budget_ms:g} ms.\n{safe(told[0].text, _LENGTH)}"


def _budget(*, budget_ms: float) -> float:
    return budget_ms
