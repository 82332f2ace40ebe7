"""One cell: the service with some settings under one load, recorded, and what its clients felt meanwhile."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any, Final

from benchmarks.whatif.load import Felt, Load, drive, service_behind
from testbed.disturbed import RUNS, Disturbed, disturbed
from testbed.ended import ended
from testbed.machine import others_since_now
from testbed.service import ROOT, free_port, wait_until_up

OTHERS: Final = 0.2  # of a CPU, used by programs that are none of ours: the cell is measured again


@dataclass(frozen=True, slots=True)
class Cell:
    """A state of a service, by name: what it does, with which settings, under which load."""

    name: str
    shape: str
    load: Load
    settings: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """What clients felt in a cell, its traces, and how much CPU programs that are none of ours used meanwhile."""

    felt: Felt
    traces: Path
    others: float


def measured(cell: Cell, folder: Path, seconds: float, *, anew: bool) -> Measured:
    """Return a cell's measurement, from the folder where it is there and not wanted anew. A disturbed one is run again;
    the least disturbed of three counts."""
    here = folder / cell.name
    found = here / "felt.json"
    if anew or not found.exists():
        tries = []
        for number in range(RUNS):
            aside = folder / f"{cell.name}.{number}"
            try:
                tries.append((_run(cell, aside, seconds), aside))
                break
            except Disturbed as other:
                tries.append((json.loads((aside / "felt.json").read_text())["others"], aside))
                print(f"{cell.name}: {other}", flush=True)
        best = min(tries, key=lambda one: one[0])[1]
        shutil.rmtree(here, ignore_errors=True)
        best.rename(here)
        for _, aside in tries:
            shutil.rmtree(aside, ignore_errors=True)
    said = json.loads(found.read_text())
    return Measured(Felt(**said["felt"]), here / "traces", said["others"])


def _run(cell: Cell, folder: Path, seconds: float) -> float:
    """Measure, and write what was found. Returns the CPUs that others used."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port()
    with ExitStack() as stack:
        behind = stack.enter_context(service_behind())
        environment = {
            **os.environ, "SETTINGS": json.dumps(dict(cell.settings)), "DOWNSTREAM": behind, "WHYWAIT_KEEP": "all",
            "WHYWAIT_EXIT_S": "20",
        }  # fmt: skip
        command = [
            sys.executable, "-m", "whywait", "run", "--output", str(folder / "traces"), "--", sys.executable, "-m", "uvicorn",
            "benchmarks.whatif.service:app", "--port", str(port), "--log-level", "warning", "--workers", str(cell.workers),
        ]  # fmt: skip
        process = Popen(command, cwd=ROOT, env=environment, stdout=DEVNULL, stderr=DEVNULL)
        stack.enter_context(ended(process, 30))
        wait_until_up(process, f"http://127.0.0.1:{port}")
        others_used = others_since_now()
        felt = drive(f"127.0.0.1:{port}", cell.shape, cell.load, seconds)
        others = others_used()
        process.send_signal(signal.SIGTERM)
    (folder / "felt.json").write_text(json.dumps({"felt": asdict(felt), "others": others}))
    if others > OTHERS:
        disturbed(f"other programs used {others:.2f} of a CPU")
    return others
