"""Keeps what a tool showed of a program, so that a rule that has changed needs no new runs."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from benchmarks.street.contract import Program
from benchmarks.street.peers.evidence import Frame, Stretch
from benchmarks.street.peers.rule import Case


def keep(folder: Path, tool: str, case: Case, stretches: Sequence[Stretch]) -> None:
    """Writes one file for this tool and program."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(_file(folder, tool, case.program), "wt") as file:
        json.dump([case.truth_ms, case.wall_ms, case.is_disturbed, [astuple(one) for one in stretches]], file)


def read(folder: Path, tool: str, program: Program) -> tuple[Case, list[Stretch]] | None:
    """What was kept of this tool and program; None where nothing was."""
    file = _file(folder, tool, program)
    if not file.exists():
        return None
    with gzip.open(file, "rt") as kept:
        truth_ms, wall_ms, is_disturbed, stretches = json.load(kept)
    found = [Stretch(ms, tuple(Frame(*one) for one in frames), *rest) for ms, frames, *rest in stretches]
    return Case(program, truth_ms, wall_ms, is_disturbed), found


def _file(folder: Path, tool: str, program: Program) -> Path:
    return folder / f"{program.name}.{tool}.json.gz"
