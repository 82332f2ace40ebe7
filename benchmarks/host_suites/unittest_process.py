"""Runs one module of CPython's own test package in this process and writes each test's outcome.

`python unittest_process.py MODE RESULTS OUTPUT MODULE [BORROWED] [--only ID...]`; BORROWED is another interpreter's
`test` folder, for a module that this interpreter does not ship ("" for none). RESULTS gets one JSON object
a line: as the tests end, so that a crash or a timeout loses only what did not run.
"""

import faulthandler
import importlib
import json
import sys
import unittest
from pathlib import Path
from typing import Any

from tracing import Tracing


class Outcomes(unittest.TestResult):
    """Writes `{"id", "outcome", "detail"}` for each test; a failed subtest fails its test."""

    def __init__(self, tracing: Tracing, results: Any) -> None:
        super().__init__()
        self._tracing = tracing
        self._results = results
        self._found = ("ok", "")

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self._found = ("ok", "")
        self._write("started", test.id(), "")
        self._tracing.begin_test(test.id(), test)

    def stopTest(self, test: Any) -> None:
        self._tracing.end_test()
        super().stopTest(test)
        self._write(self._found[0], test.id(), self._found[1])

    def _write(self, outcome: str, name: str, detail: str) -> None:
        self._results.write(json.dumps({"id": name, "outcome": outcome, "detail": detail}) + "\n")
        self._results.flush()

    def _fail(self, test: Any, error: Any) -> None:
        if test.id().startswith(("setUpClass", "setUpModule", "tearDown", "unittest.loader")):
            self._write("fail", test.id(), _last(error))  # no startTest was called for it
        elif self._found[0] != "fail":
            self._found = ("fail", _last(error))

    def addError(self, test: Any, err: Any) -> None:
        self._fail(test, err)

    def addFailure(self, test: Any, err: Any) -> None:
        self._fail(test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._fail(test, err)

    def addSkip(self, test: Any, reason: str) -> None:
        if self._found[0] == "ok":
            self._found = ("skip", reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        if self._found[0] == "ok":
            self._found = ("expected failure", "")

    def addUnexpectedSuccess(self, test: Any) -> None:
        self._found = ("fail", "unexpected success")


def _last(error: Any) -> str:
    import traceback

    return "".join(traceback.format_exception(*error))[-4_000:]


def _load(module: str, borrowed: str) -> Any:
    import test

    if borrowed:
        test.__path__.append(borrowed)
        if module.count("."):  # a package of tests: the module inside it is found through its own path
            importlib.import_module(f"test.{module.rpartition('.')[0]}")
    return importlib.import_module(f"test.{module}")


def _chosen(tests: Any, only: set[str]) -> Any:
    if not only:
        return tests
    chosen = unittest.TestSuite()
    for one in tests:
        if isinstance(one, unittest.TestSuite):
            chosen.addTest(_chosen(one, only))
        elif one.id() in only:
            chosen.addTest(one)
    return chosen


def main(mode: str, results: str, output: str, module: str, borrowed: str = "", *only: str) -> None:
    """Runs the module; the last line written is the tracer's own report."""
    faulthandler.enable()
    tracing = Tracing(mode, Path(output))
    tracing.start()
    from test import support

    support.use_resources = []  # as regrtest without -u
    with open(results, "w", encoding="utf-8") as file:
        loaded = _load(module, borrowed)
        tests = unittest.defaultTestLoader.loadTestsFromModule(loaded)
        support.environment_altered = False
        outcomes = Outcomes(tracing, file)
        _chosen(tests, set(only)).run(outcomes)
        altered = "altered" if support.environment_altered else "ok"
        file.write(json.dumps({"id": "(environment)", "outcome": altered, "detail": ""}) + "\n")
        file.write(json.dumps({"report": tracing.stop()}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.exit(0)
