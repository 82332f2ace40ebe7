"""The quick slice of the benchmark with known truth: relations and causes, never absolute times.

A request that the injection did not slow, or that a busy machine slowed more, is discarded and counted, and a
fault of which nothing is left is skipped, never failed. What falls must fall twice, in two runs of the service,
as in the mutation run: who has no CPU for a moment as a fault's few requests come is no defect of the tracer's.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.truth import plan, usable
from benchmarks.truth.fault import FAULTS
from benchmarks.truth.felt import MS
from benchmarks.truth.judge import run_unit
from benchmarks.truth.plan import Unit
from benchmarks.truth.scores import score
from benchmarks.truth.targets import FELT_P50_NS, FELT_P95_NS
from benchmarks.truth.terminal import fault_lines
from testbed.gil.measure import build_yardstick, can_build
from whywait.analysis.causes import Cause

Table = dict[str, Any]
LEAST = 3  # requests from which something is said
HALF = 0.5
AGAIN_SEED = 2
# what is sampled has few samples in a slice this short: told and named right once, it is there
SAMPLED = {Cause.GIL_WAIT, Cause.CPU_WAIT}
# where a machine is so busy that the loop's thread itself stands still, its callbacks seem long
STARVED = {Cause.LOOP_BUSY, Cause.LOOP_WAKEUP}
QUICK = [name for name, one in FAULTS.items() if one.quick]


def cause_is_told(name: str, one: Table) -> bool:
    """First of all causes, and no traces are missing."""
    if one["left_out"].get(usable.LOST, 0) > HALF * (one["scored"] + 1):
        return False
    if one["scored"] < LEAST:
        return True
    return bool(one["cause"] > 0 if FAULTS[name].cause in SAMPLED else one["cause"] >= HALF)


def culprit_is_named(name: str, one: Table) -> bool:
    """With its place; of a lack of CPUs on a machine with other work it may be another."""
    if one["scored"] < LEAST or one["culprit"] is None or FAULTS[name].cause is Cause.CPU_WAIT:
        return True
    if FAULTS[name].cause in SAMPLED:
        return bool(one["culprit"] > 0)
    return bool(one["culprit"] >= HALF and (one["place"] is None or one["place"] >= HALF))


def phase_is_told(name: str, one: Table) -> bool:
    """Where an adapter knows it."""
    return bool(one["scored"] < LEAST or not FAULTS[name].phase or one["phase"] >= HALF)


CHECKS: tuple[Callable[[str, Table], bool], ...] = (cause_is_told, culprit_is_named, phase_is_told)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """The scores of one run of the slice; of the faults that fell or were discarded, those of another run."""
    yardstick = build_yardstick(tmp_path_factory.mktemp("yardstick")) if can_build() else None

    def run(unit: Unit) -> Table:
        found = score(run_unit(unit, yardstick=yardstick, keep=Path(tmp_path_factory.mktemp("slice"))))
        print("\n".join(fault_lines(found)))
        return found

    (unit,) = plan.quick()
    found = run(unit)
    fallen = {
        name
        for name in QUICK
        if is_discarded(found["faults"][name]) or not all(check(name, found["faults"][name]) for check in CHECKS)
    }
    if fallen:
        again = run(plan.every_fault(unit.loop, AGAIN_SEED, only=fallen))["faults"]
        # one that is discarded this time does not take the first verdict back
        found["faults"] |= {name: again[name] for name in fallen if again[name]["scored"] >= LEAST}
    return found


def is_discarded(one: Table) -> bool:
    return bool(one["scored"] < LEAST and not one["left_out"].get(usable.LOST, 0))


def skip_if_discarded(one: Table) -> None:
    if is_discarded(one):
        pytest.skip(f"{one['scored']} requests left; discarded: {one['left_out']}")


@pytest.mark.parametrize("name", QUICK)
def test_the_true_cause_is_told_first(told: Table, name: str) -> None:
    one = told["faults"][name]
    skip_if_discarded(one)
    assert cause_is_told(name, one), (one["taken_for"], one["left_out"])


NOTHING_TO_NAME = {
    "before_the_end", "body_comes_slowly", "downstream_slow", "gc_asked_for", "response_is_huge",
    "response_is_taken_slowly",
}  # fmt: skip
"""Faults that no code of the service caused for another: they note nobody."""


@pytest.mark.parametrize("name", sorted(NOTHING_TO_NAME & set(QUICK)))
def test_nobody_is_noted_where_nothing_is_to_name(told: Table, name: str) -> None:
    assert told["faults"][name]["culprit"] is None


@pytest.mark.parametrize(
    "name", [name for name in QUICK if FAULTS[name].cause is not Cause.CPU_WAIT and name not in NOTHING_TO_NAME]
)
def test_the_true_culprit_is_named(told: Table, name: str) -> None:
    one = told["faults"][name]
    skip_if_discarded(one)
    assert one["culprit"] is not None
    assert culprit_is_named(name, one), one


@pytest.mark.parametrize("name", [name for name in QUICK if FAULTS[name].phase])
def test_the_phase_is_told(told: Table, name: str) -> None:
    one = told["faults"][name]
    skip_if_discarded(one)
    assert phase_is_told(name, one), one


def test_what_clients_felt_is_told_and_filled_to_the_nanosecond(told: Table) -> None:
    felt = told["felt"]["all"]
    assert felt["requests"] > 100
    assert felt["conserved"] == felt["requests"]
    if felt["error_ms_p50"] * MS > FELT_P50_NS or felt["error_ms_p95"] * MS > FELT_P95_NS:
        # a client without a CPU measures its own wait: then it is slower than told, and never faster
        assert felt["bias_ms_p50"] < 0, felt
        pytest.skip(f"the clients lacked a CPU: {felt}")


def test_who_is_off_the_critical_path_is_not_blamed(told: Table) -> None:
    if not told["beside"]["scored"]:
        pytest.skip(f"discarded: {told['beside']['left_out']}")
    assert told["beside"]["blamed"] < HALF


def test_healthy_services_are_not_accused(told: Table) -> None:
    assert told["nulls"]["cells"] > 0
    for one in told["nulls"]["false"]:
        assert set(one["causes"]) <= STARVED, one
