"""Where in time a quota withheld the CPUs, by counters that grow as it ends."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.kernel import quota_group
from whywait.tracer.sampler.child.cgroup import CpuGroups, Quota, Throttled, Throttling, withheld_ns

MS = 1_000_000
QUARTER = Quota(25 * MS, 100 * MS)


class Groups(CpuGroups):
    """Counters that a test sets."""

    def __init__(self, quota: Quota) -> None:
        super().__init__(0, "/nowhere")
        self.quota, self.now, self.asked, self.moves = quota, Throttled(0, 0), 0, False

    def find(self) -> bool:
        return self.moves

    def throttled(self) -> Throttled:
        self.asked += 1
        return self.now


class Looked:
    """A sampler that looks every 5 ms."""

    def __init__(self, quota: Quota = QUARTER) -> None:
        self.told: list[tuple[float, float]] = []
        self.groups = Groups(quota)
        self.throttling = Throttling(self.groups, lambda start, end: self.told.append((start / MS, end / MS)))

    def look(self, at_ms: float, late_ms: float = 0, *, periods: int = 0, withheld_ms: float = 0) -> None:
        now = self.groups.now
        self.groups.now = Throttled(now.periods + periods, now.ns + int(withheld_ms * MS))
        self.throttling.look(int((at_ms - late_ms) * MS), int(at_ms * MS))


def test_it_ended_between_two_looks_and_lasted_as_long_as_is_counted() -> None:
    one = Looked()
    one.look(95)
    one.look(100, periods=1, withheld_ms=75)
    one.look(105)
    assert one.told == [(22.5, 97.5)]


def test_who_was_held_back_as_well_goes_on_as_it_ends() -> None:
    one = Looked()
    one.look(26)
    one.look(100, late_ms=69, periods=1, withheld_ms=75)
    assert one.told == [(25, 100)]


def test_who_was_late_for_another_reason_tells_nothing() -> None:
    one = Looked()
    one.look(30)
    one.look(100, late_ms=65)
    assert one.told == []


def test_two_cpus_that_were_held_back_at_once() -> None:
    one = Looked()
    one.look(98)
    one.look(100, periods=1, withheld_ms=175)  # each used half of the quota
    assert one.told == [(99 - 87.5, 99)]


def test_what_two_looks_saw_of_one_time_is_told_once() -> None:
    one = Looked()
    one.look(95)
    one.look(100, periods=1, withheld_ms=75)
    one.look(105, withheld_ms=75)
    assert one.told == [(22.5, 97.5), (97.5, 102.5)]


def test_without_a_quota_nobody_asks() -> None:
    one = Looked(Quota(0, 0))
    asked = one.groups.asked
    one.look(95)
    one.look(100)
    assert one.groups.asked == asked
    one.look(150, late_ms=45, periods=1, withheld_ms=40)  # of a quota that cannot be read
    assert one.told == [(110, 150)]


def test_what_was_counted_in_another_group_or_before_is_not_told() -> None:
    one = Looked()
    one.look(95)
    one.groups.moves, one.groups.now = True, Throttled(900, 80_000 * MS)
    one.throttling.find()
    one.look(100)
    one.groups.now = Throttled(0, 0)  # counted anew
    one.look(105)
    one.look(110, periods=1, withheld_ms=10)
    assert one.told == [(97.5, 107.5)]


@pytest.mark.parametrize(
    ("quota", "periods", "cpu_ms", "expected_ms"),
    [
        (QUARTER, 1, 75, 75),
        (QUARTER, 3, 225, 225),
        (QUARTER, 1, 175, 87.5),
        (QUARTER, 0, 60, 60),
        (Quota(200 * MS, 100 * MS), 1, 200, 50),  # four CPUs, each for half of the period
        (Quota(0, 0), 0, 40, 40),
    ],
)
def test_how_long_it_was(quota: Quota, periods: int, cpu_ms: float, expected_ms: float) -> None:
    assert withheld_ns(quota, periods, int(cpu_ms * MS)) == expected_ms * MS


BURN = """
import os, sys, time
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
last = time.perf_counter_ns()
end = last + 1_200_000_000
while last < end:
    now = time.perf_counter_ns()
    if now - last > 20_000_000:
        print(last, now)
    last = now
"""


@pytest.fixture
def group() -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(quota_group(25_000, 100_000))
        except OSError as error:
            pytest.skip(f"no group of CPUs can be made here: {error.strerror}")
        yield folder


def test_it_lies_where_one_who_computes_was_held_back(group: str) -> None:
    burning = subprocess.Popen([sys.executable, "-S", "-c", BURN, group], stdout=subprocess.PIPE, text=True)
    told: list[tuple[int, int]] = []
    surely: list[tuple[int, int]] = []  # told by looks that were not far apart
    throttling = Throttling(CpuGroups(burning.pid), lambda start, end: told.append((start, end)))
    looked_ns = 0
    while burning.poll() is None:
        throttling.find()
        time.sleep(0.003)
        now_ns, before = time.perf_counter_ns(), len(told)
        throttling.look(now_ns, now_ns)  # it is not in that group: where it is late, that is for another reason
        if now_ns - looked_ns < 10_000_000:
            surely += told[before:]
        looked_ns = now_ns
    throttling.close()
    lines = burning.communicate()[0].splitlines()
    away = [(int(line.split()[0]), int(line.split()[1])) for line in lines]
    if len(surely) < 3:
        pytest.skip(f"{len(surely)} of {len(told)} stretches ended while this process had a CPU")
    found = sum(max(0, min(end, stop) - max(begin, start)) for begin, end in away for start, stop in surely)
    assert found >= 0.9 * sum(stop - start for start, stop in surely)
