"""The street judges by its written rule; two of its programs run here, all of them in the benchmark."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from benchmarks.street.__main__ import verdict_of
from benchmarks.street.contract import MARK, Program, programs, read
from benchmarks.street.drive import covered
from benchmarks.street.perform import Performance, _scheduled_ns
from benchmarks.street.surroundings import surroundings
from benchmarks.street.verdict import judge
from testbed.disturbed import disturbed
from whywait.analysis.causes import CAUSES

MS = 1_000_000
SOURCE = f'''"""Slow.

[street]
endpoint = "GET /x"
cause = "lock_wait"
culprit = "hold"
remedy = "lock_wait/holders_wait|one lock per object"
load = [{{path = "/x", n = 3}}]
"""


def hold():
    with lock:
        rest()  {MARK}
'''


@pytest.fixture
def program(tmp_path: Any) -> Program:
    file = tmp_path / "slow.py"
    file.write_text(SOURCE)
    return read(file)


def reason(**other: Any) -> dict[str, Any]:
    return {
        "cause": "lock_wait", "amount_ns": 100 * MS, "culprit": "hold", "file": "/srv/slow.py", "line": 14, "detail": "",
        "remedy": {"key": "lock_wait/holders_wait", "text": "Do less."}, **other,
    }  # fmt: skip


MACHINE = reason(
    cause="cpu_wait", culprit="process x", file="", remedy={"key": "cpu_wait/cpu_other_processes", "text": ""}
)
OTHER = reason(cause="await_io", culprit="x", line=3, remedy={"key": "await_io", "text": ""})


@pytest.mark.parametrize(
    ("reasons", "grade", "faults"),
    [
        ([reason()], "right", ()),
        ([reason(line=12), OTHER], "right", ()),  # where its function begins
        ([MACHINE, reason()], "right", ()),
        ([reason(line=13)], "partly", ("culprit",)),
        ([reason(culprit="x"), reason()], "partly", ("culprit",)),
        ([reason(amount_ns=111 * MS)], "partly", ("amount",)),
        ([reason(remedy={"key": "lock_wait", "text": ""})], "partly", ("remedy",)),
        ([reason(remedy={"key": "x", "text": "Use one lock per object."})], "right", ()),
        ([OTHER, reason()], "partly", ("cause", "culprit", "remedy")),
        ([OTHER, reason(culprit="x")], "wrong", ("cause", "culprit", "remedy")),
        ([], "wrong", ("cause", "culprit", "amount", "remedy")),
    ],
)
def test_the_rule(program: Program, reasons: list[dict[str, Any]], grade: str, faults: tuple[str, ...]) -> None:
    report = {"endpoints": [{"endpoint": "GET /y", "reasons": []}, {"endpoint": "GET /x", "reasons": reasons}]}
    told = judge(program, Performance(100.0, 200.0, 0.0, report))
    assert (told.grade, told.faults) == (grade, faults)


def test_what_of_the_windows_lies_under_the_stretches() -> None:
    assert covered([(10, 20), (15, 30), (90, 95)], [(0, 12), (25, 100), (40, 50)]) == 2 + 5 + 5


def test_the_process_that_serves_may_be_a_child() -> None:
    """As under hypercorn: what it lacks of a CPU is looked for among all of them."""
    serves = f"import subprocess; subprocess.run([{sys.executable!r}, '-c', 'while True: pass'])"
    service, found = subprocess.Popen([sys.executable, "-c", serves]), dict[str, tuple[int, int]]()
    deadline = time.monotonic() + 20
    while len(found) < 2 or max(found.values())[0] < 100 * MS:
        assert time.monotonic() < deadline, found
        found = _scheduled_ns(service.pid)
    (child,) = found.keys() - {str(service.pid)}
    os.kill(int(child), signal.SIGKILL)
    service.wait(20)


# a middleware's work, which no function of the program asks for; what waits for news; a lock that another process has
NOBODYS = {"gzipped_answers", "long_poll_by_future", "process_lock"}


def test_every_program_declares_what_is_true_of_it() -> None:
    every = programs()
    assert len(every) >= 40
    for one in every:
        source = one.path.read_text()
        assert one.cause in (*CAUSES, "none"), one.name
        assert "whywait" not in source, one.name
        assert (one.cause == "none" or one.name in NOBODYS) == (one.culprit == ""), one.name
        assert ("stamp(" in source and MARK in source) == (one.cause != "none"), one.name


@pytest.mark.parametrize("name", ["sleep_in_async", "semaphore_around_upstream"])
def test_two_programs_are_told_right(name: str) -> None:
    (one,) = programs((name,))
    with surroundings([one]) as found:
        told = verdict_of(one, "asyncio", found, quick=True)
    if told.grade != "right" and told.is_disturbed:
        disturbed(f"the program lacked a CPU for {told.cpu_wait_share:.0%} of its run")
    assert told.grade == "right", told
