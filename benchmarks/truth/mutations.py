"""What breaks when a probe is out: every fault once without each probe, against the same with all of them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.truth import plan
from benchmarks.truth.fault import FAULTS
from benchmarks.truth.judge import run_unit
from benchmarks.truth.plan import Unit
from benchmarks.truth.scores import score
from benchmarks.truth.store import ROOT, Store

FALLS: Final = 0.5  # of the requests, from which a fault's score is said to fall
LEAST: Final = 2  # requests that must have been scored
ONLY_UVLOOP: Final = "uvloop"
MEASURES: Final = ("cause", "culprit", "place", "phase")
Table = dict[str, Any]


def probes() -> list[str]:
    """The names of what can be taken out."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.truth.serve", "--probes"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout.split("\n")[:-1]


def run(yardstick: Path | None, store: Store, seed: int, said: Callable[[str], None]) -> Table:
    """By probe: the faults whose score falls without it, from what to what, and whether the quick slice tells."""
    whole = {loop: _faults(plan.every_fault(loop, seed), yardstick, store, said) for loop in plan.LOOPS}
    found: Table = {}
    for probe in probes():
        loop = "uvloop" if probe == ONLY_UVLOOP else "asyncio"
        unit = plan.every_fault(loop, seed, without=probe)
        found[probe] = fallen(whole[loop], _faults(unit, yardstick, store, said))
    return found


def fallen(whole: Table, without: Table) -> Table:
    """What fell between two tables of faults."""
    falls = []
    for name in FAULTS:
        before, after = whole[name], without[name]
        if before["scored"] < LEAST or after["scored"] + after["left_out"].get("no trace", 0) < LEAST:
            continue
        for measure in MEASURES:
            then = before[measure]
            now = after[measure] if after["scored"] else 0.0
            if then is not None and now is not None and then - now >= FALLS:
                taken_for = next(iter(after["taken_for"]), "") if measure == "cause" else ""
                falls.append(
                    {"fault": name, "measure": measure, "from": then, "to": now, "taken_for": taken_for}
                )
                break  # a lost cause has lost its culprit, too
    return {"falls": falls, "quick_tells": any(FAULTS[one["fault"]].quick for one in falls)}


def _faults(unit: Unit, yardstick: Path | None, store: Store, said: Callable[[str], None]) -> Table:
    said(f"{unit.loop}, without {unit.without or 'nothing'}")
    if not store.done(unit):
        try:
            store.keep(unit, run_unit(unit, yardstick=yardstick, said=lambda text: said(f"    {text}")))
        except Exception as error:  # a probe without which the service cannot be analysed at all
            said(f"    nothing to score: {error}")
    table: Table = score(store.records([unit]))["faults"]
    return table
