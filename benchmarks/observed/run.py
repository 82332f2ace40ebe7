"""Runs the programs in an interpreter of their own, again where the machine disturbed one."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.observed import in_threads, machine, on_loop  # noqa: F401 - enter their programs
from benchmarks.observed.cells import DISTURBED, UNAVAILABLE, Column, agree, column
from benchmarks.observed.program import PROGRAMS

ROOT: Final = Path(__file__).parents[2]
_TRIES: Final = 3


def probe(python: str, loop: str, platform: str | None = None, only: Sequence[str] | None = None) -> dict[str, Any]:
    """What `python -m benchmarks.observed.probe` prints; raises CalledProcessError with its words."""
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-m", "benchmarks.observed.probe", folder, loop]
        command += ["--platform", platform] if platform else []
        command += ["--only", *only] if only is not None else []
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr[-3_000:]}")
    return dict(json.loads(done.stdout))


def column_of(
    title: str, python: str, loop: str, platform: str | None = None, expected: Column | None = None
) -> Column:
    """A column by one run, and by others of the programs of which it leaves a doubt.

    Those are the ones that came out otherwise than expected; with nothing to expect, as unavailable, or
    with nobody named. What is unavailable stays so, and what a busy machine hid once does not.
    """
    found = probe(python, loop, platform)
    result = column(title, PROGRAMS, found)
    for _ in range(_TRIES - 1):
        doubtful = [name for name in result.cells if _is_doubtful(name, result, expected)]
        if not doubtful:
            break
        found["programs"] |= probe(python, loop, platform, doubtful)["programs"]
        result = column(title, PROGRAMS, found)
    return result


def _is_doubtful(name: str, result: Column, expected: Column | None) -> bool:
    cell, named = result.cells[name], result.named.get(name)
    if expected is not None:
        return not agree(cell, expected.cells.get(name, "")) or named != expected.named.get(name)
    return cell == DISTURBED or cell.startswith(UNAVAILABLE) or named is False
