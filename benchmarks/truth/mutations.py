"""What breaks when a probe is out: every fault once without each probe, against the same with all of them."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.truth import plan
from benchmarks.truth.fault import FAULTS
from benchmarks.truth.judge import run_unit
from benchmarks.truth.scores import score
from benchmarks.truth.store import ROOT

FALLS: Final = 0.5  # of the requests, from which a fault's score is said to fall
LEAST: Final = 2  # requests that must have been scored
ONLY_UVLOOP: Final = "uvloop"
MEASURES: Final = ("cause", "culprit", "place")
Table = dict[str, Any]


def probes() -> list[str]:
    """The names of what can be taken out."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.truth.serve", "--probes"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout.split("\n")[:-1]


def run(yardstick: Path | None, seed: int, said: Callable[[str], None]) -> Table:
    """By probe: the faults whose score falls without it, from what to what, and whether the quick slice tells."""
    whole = {loop: _faults(loop, "", yardstick, seed, said) for loop in plan.LOOPS}
    found: Table = {}
    for probe in probes():
        loop = "uvloop" if probe == ONLY_UVLOOP else "asyncio"
        found[probe] = fallen(whole[loop], _faults(loop, probe, yardstick, seed, said))
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


def _faults(loop: str, without: str, yardstick: Path | None, seed: int, said: Callable[[str], None]) -> Table:
    records: Sequence[Any] = []
    for unit in plan.every_fault(loop, seed):
        said(f"{loop}, without {without or 'nothing'}: ")
        try:
            records = [*records, *run_unit(unit, yardstick=yardstick, without=without, said=said)]
        except Exception as error:  # a probe without which the service cannot be analysed at all
            said(f"nothing to score: {error}")
    table: Table = score(records)["faults"]
    return table
