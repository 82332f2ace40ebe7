"""What breaks when a probe is out: every fault once without each probe, against several runs with all of them.

What falls must fall below each of the whole runs, and again in a second run: what is sampled varies by itself.
"""

import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.truth import plan, usable
from benchmarks.truth.fault import FAULTS
from benchmarks.truth.judge import run_unit
from benchmarks.truth.plan import Unit
from benchmarks.truth.scores import score
from benchmarks.truth.store import ROOT, Store

FALLS: Final = 0.5  # of the requests, from which a fault's score is said to fall
LEAST: Final = 2  # requests that must have been scored
ONLY_UVLOOP: Final = "uvloop"
WHOLE_SEEDS: Final = (1, 2, 3)
SEED, AGAIN_SEED = 1, 2
MEASURES: Final = ("cause", "culprit", "place", "phase")
Table = dict[str, Any]


def probes() -> list[str]:
    """The names of what can be taken out."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.truth.serve", "--probes"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout.split("\n")[:-1]


def run(
    yardstick: Path | None,
    store: Store,
    said: Callable[[str], None],
    chosen: Collection[str] = (),
    only: Collection[str] = (),
) -> Table:
    """By probe: the faults whose score falls without it, from what to what, and whether the quick slice tells.

    Of the `chosen` probes, and in the faults of `only`; of all where these are empty.
    """

    def faults(unit: Unit) -> Table:
        return _faults(unit, yardstick, store, said)

    taken_out = [one for one in probes() if not chosen or one in chosen]
    loops = {_loop_of(one) for one in taken_out}
    whole = {loop: [faults(plan.every_fault(loop, seed, only=only)) for seed in WHOLE_SEEDS] for loop in loops}
    found: Table = {}
    for probe in taken_out:
        loop = _loop_of(probe)
        first = fallen(whole[loop], faults(plan.every_fault(loop, SEED, probe, only)))
        again = first and fallen(
            whole[loop], faults(plan.every_fault(loop, AGAIN_SEED, probe, {one["fault"] for one in first}))
        )
        sure = {one["fault"] for one in again}
        falls = [one for one in first if one["fault"] in sure]
        found[probe] = {"falls": falls, "quick_tells": any(FAULTS[one["fault"]].quick for one in falls)}
    return found


def _loop_of(probe: str) -> str:
    return "uvloop" if probe == ONLY_UVLOOP else "asyncio"


def fallen(whole: Sequence[Table], without: Table) -> list[Table]:
    """What fell from the lowest of several tables of faults."""
    falls: list[Table] = []
    for name in FAULTS:
        before, after = [one[name] for one in whole], without[name]
        if min(one["scored"] for one in before) < LEAST:
            continue
        if after["scored"] + after["left_out"].get(usable.LOST, 0) < LEAST:
            continue
        for measure in MEASURES:
            if any(one[measure] is None for one in before):
                continue
            then = min(one[measure] * _seen(one) for one in before)
            now = (after[measure] or 0.0) * _seen(after)
            if then - now >= FALLS:
                taken_for = next(iter(after["taken_for"]), "") if measure == "cause" else ""
                falls.append({"fault": name, "measure": measure, "from": then, "to": now, "taken_for": taken_for})
                break  # a lost cause has lost its culprit, too
    return falls


def _seen(one: Table) -> float:
    """Which part of the requests left a trace."""
    whole = one["scored"] + one["left_out"].get(usable.LOST, 0)
    return float(one["scored"] / whole) if whole else 0.0


def _faults(unit: Unit, yardstick: Path | None, store: Store, said: Callable[[str], None]) -> Table:
    said(f"{unit.loop}, without {unit.without or 'nothing'}")
    if not store.done(unit):
        try:
            store.keep(unit, run_unit(unit, yardstick=yardstick, said=lambda text: said(f"    {text}")))
        except Exception as error:  # a probe without which the service cannot be analysed at all
            said(f"    nothing to score: {error}")
    table: Table = score(store.records([unit]))["faults"]
    return table
