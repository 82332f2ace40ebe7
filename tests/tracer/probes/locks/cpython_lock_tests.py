"""CPython's own lock tests on watched locks; python -m ... OUTPUT prints the number that ran and, as JSON, what failed.

In a process of their own: with all that a run of tests has imported by then, the same tests take five times as long.
"""

import json
import sys
import threading
import unittest
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from test import lock_tests

import whywait
from whywait.tracer.probes.locks.traced_lock import TracedLock, TracedRLock


def _suite() -> unittest.TestSuite:
    def lock() -> Any:
        made = threading.Lock()
        assert type(made) is TracedLock
        return made

    def rlock() -> Any:
        made = threading.RLock()
        assert type(made) is TracedRLock
        return made

    types: list[tuple[Any, str, Any]] = [
        (lock_tests.LockTests, "locktype", lock),
        (lock_tests.RLockTests, "locktype", rlock),
        (lock_tests.EventTests, "eventtype", threading.Event),
        (lock_tests.ConditionTests, "condtype", lambda *given: threading.Condition(*given or (rlock(),))),
        (lock_tests.SemaphoreTests, "semtype", threading.Semaphore),
        (lock_tests.BoundedSemaphoreTests, "semtype", threading.BoundedSemaphore),
        (lock_tests.BarrierTests, "barriertype", threading.Barrier),
    ]
    suite = unittest.TestSuite()
    for base, name, make in types:
        case: Any = type(base.__name__, (base,), {name: staticmethod(make)})
        for one in unittest.defaultTestLoader.loadTestsFromTestCase(case):
            suite.addTest(one)
    return suite


def _run(cases: Iterable[Any]) -> tuple[int, dict[str, str]]:
    result = unittest.TestResult()
    suite = unittest.TestSuite(cases)
    suite.run(result)
    return result.testsRun, {case.id(): said for case, said in (*result.failures, *result.errors)}


def main(output: str) -> None:
    whywait.start("test", config=whywait.Config(output=Path(output)))
    with whywait.phase("root"):  # the threads that the tests start belong to no request, this one does
        ran, failed = _run(_suite())
        # some ask for a bound on time, which a loaded machine may break once
        _, again = _run(case for case in _suite() if case.id() in failed)
    whywait.stop()
    print(json.dumps([ran, {name: failed[name] for name in again}]))


if __name__ == "__main__":
    main(sys.argv[1])
