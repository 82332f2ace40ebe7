"""The quick slice of the benchmark with known truth: relations and causes, never absolute times.

A request that the injection did not slow, or that a busy machine slowed more, is discarded and counted, and a
fault of which nothing is left is skipped, never failed.
"""

from pathlib import Path
from typing import Any

import pytest

from analysis.causes import Cause
from benchmarks.truth import plan, usable
from benchmarks.truth.fault import FAULTS
from benchmarks.truth.judge import run_unit
from benchmarks.truth.scores import score
from benchmarks.truth.terminal import fault_lines
from tests.truth.gil.measure import build_yardstick, can_build

LEAST = 3  # requests from which something is said
HALF = 0.5
# what is sampled has few samples in a slice this short: told and named right once, it is there
SAMPLED = {Cause.GIL_WAIT, Cause.CPU_WAIT}
# where a machine is so busy that the loop's thread itself stands still, its callbacks seem long
STARVED = {Cause.LOOP_BUSY, Cause.LOOP_WAKEUP}
QUICK = [name for name, one in FAULTS.items() if one.quick]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The scores of one run of the slice."""
    yardstick = build_yardstick(tmp_path_factory.mktemp("yardstick")) if can_build() else None
    (unit,) = plan.quick()
    found = score(run_unit(unit, yardstick=yardstick, keep=Path(tmp_path_factory.mktemp("slice"))))
    print("\n".join(fault_lines(found)))
    return found


@pytest.mark.parametrize("name", QUICK)
def test_the_true_cause_is_told_first(told: dict[str, Any], name: str) -> None:
    one = told["faults"][name]
    assert one["left_out"].get(usable.LOST, 0) <= HALF * (one["scored"] + 1), "traces are missing"
    if one["scored"] < LEAST:
        pytest.skip(f"{one['scored']} requests left; discarded: {one['left_out']}")
    if FAULTS[name].cause in SAMPLED:
        assert one["cause"] > 0, one["taken_for"]
    else:
        assert one["cause"] >= HALF, one["taken_for"]


@pytest.mark.parametrize("name", [name for name in QUICK if FAULTS[name].cause is not Cause.CPU_WAIT])
def test_the_true_culprit_is_named(told: dict[str, Any], name: str) -> None:
    one = told["faults"][name]
    if one["scored"] < LEAST or one["culprit"] is None:
        pytest.skip("nothing to name" if one["scored"] >= LEAST else f"discarded: {one['left_out']}")
    if FAULTS[name].cause in SAMPLED:
        assert one["culprit"] > 0
        return
    assert one["culprit"] >= HALF
    assert one["place"] is None or one["place"] >= HALF


@pytest.mark.parametrize("name", [name for name in QUICK if FAULTS[name].phase])
def test_the_phase_is_told(told: dict[str, Any], name: str) -> None:
    one = told["faults"][name]
    if one["scored"] < LEAST:
        pytest.skip(f"discarded: {one['left_out']}")
    assert one["phase"] >= HALF


def test_who_is_off_the_critical_path_is_not_blamed(told: dict[str, Any]) -> None:
    if not told["beside"]["scored"]:
        pytest.skip(f"discarded: {told['beside']['left_out']}")
    assert told["beside"]["blamed"] < HALF


def test_healthy_services_are_not_accused(told: dict[str, Any]) -> None:
    assert told["nulls"]["cells"] > 0
    for one in told["nulls"]["false"]:
        assert set(one["causes"]) <= STARVED, one
