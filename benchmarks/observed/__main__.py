"""`python -m benchmarks.observed python3.11 python3.12 ...`: writes benchmarks/results/observed.md.

Each interpreter is used as it is where whywait and its tests' needs can be imported there, else with an
environment made for it under .cache.
"""

import argparse
import os
import platform
import subprocess
import sys

from benchmarks.host_suites import interpreters
from benchmarks.observed.cells import DISTURBED, Column, page
from benchmarks.observed.hiding import PLATFORMS
from benchmarks.observed.program import PROGRAMS
from benchmarks.observed.run import ROOT, column_of

PAGE = ROOT / "benchmarks" / "results" / "observed.md"
LOOPS = ("asyncio", "uvloop")
_NEEDS = "import whywait, pandas, uvloop, uvicorn, xgboost, pytest, platform; print(platform.python_version())"


def main() -> int:
    """Runs every column and writes the page; 2 where no interpreter can be used, 1 where the machine was too busy."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.observed", description=__doc__)
    parser.add_argument("pythons", nargs="*", default=[sys.executable])
    options = parser.parse_args()
    usable = [one for one in map(_usable, options.pythons) if one is not None]
    if not usable:
        return 2
    columns: list[Column] = []
    for python, version in usable:
        for loop in LOOPS:
            columns.append(_told(f"{version} {loop}", python, loop))
    first, version = usable[0]
    for name in PLATFORMS:
        columns.append(_told(f"{name} (untested)", first, "asyncio", name))
    notes = [
        f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs.",
        f"gVisor and macOS, untested: nobody has run it there. These columns are the same programs here, on "
        f"Python {version} and asyncio, with what those platforms lack taken away: on gVisor `schedstat`, "
        "`syscall` and `mem` below /proc; on macOS all of /proc, `memfd_create` and the clocks of other processes.",
        "uvloop does not tell when it slept in its selector: what it takes to wake up is told apart with asyncio's "
        "loops only.",
        "No GPU was used: those rows have a recorded device.",
    ]
    disturbed = [(one.title, name) for one in columns for name, cell in one.cells.items() if cell == DISTURBED]
    if disturbed:
        print(f"the machine was too busy for {disturbed}; the page is left as it was", file=sys.stderr)
        return 1
    PAGE.write_text(page(PROGRAMS, columns, notes))
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


def _told(title: str, python: str, loop: str, platform_name: str | None = None) -> Column:
    print(f"==> {title}", flush=True)
    return column_of(title, python, loop, platform_name)


def _usable(command: str) -> tuple[str, str] | None:
    ready = _version(command)
    if ready is not None:
        return command, ready
    found = interpreters.find(command)
    if isinstance(found, str):
        print(f"skipped {found}")
        return None
    python = str(interpreters.environment(found))
    return python, found.version


def _version(python: str) -> str | None:
    try:
        told = subprocess.run(
            [python, "-c", _NEEDS],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    except OSError:
        return None
    return told.stdout.strip() if told.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
