"""What other tools tell of the programs of the street, by one written rule; whywait's own answers by the same.

python -m benchmarks.street.peers                        what is not yet known; writes benchmarks/results/street_peers.json
                                                         and, once all are asked, its section of street.md
python -m benchmarks.street.peers NAME... --tool sentry  these programs under these tools
python -m benchmarks.street.peers --again NAME...        although they are known
python -m benchmarks.street.peers --disturbed            as well as what is known from runs that lacked a CPU
python -m benchmarks.street.peers --show NAME            prints the largest stretches as well
python -m benchmarks.street.peers --shown FOLDER         keeps there what the tools showed
python -m benchmarks.street.peers --shown FOLDER --score runs nothing: scores what lies there
"""

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.street import page
from benchmarks.street.contract import Program, programs
from benchmarks.street.peers import results, shown
from benchmarks.street.peers.evidence import Stretch
from benchmarks.street.peers.rule import Case, score
from benchmarks.street.peers.tools import TOOLS, run
from benchmarks.street.perform import ROOT
from benchmarks.street.surroundings import absent, surroundings
from benchmarks.street.verdict import DISTURBED

Told = dict[str, Any]
_FAILURES: Final = (RuntimeError, subprocess.SubprocessError, OSError, ValueError, LookupError, httpx.HTTPError)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the programs under the tools; 0, whatever their scores are."""
    options = _options(argv)
    every, chosen, tools = programs(), programs(tuple(options.names)), options.tool or list(TOOLS)
    known = {} if options.again or options.score else results.read(options.results).get("programs", {})
    asked = [(one, tool, known.get(one.name, {}).get(tool)) for one in chosen for tool in tools]
    todo = [(one, tool) for one, tool, told in asked if not told or (options.disturbed and told.get("disturbed"))]
    until = time.monotonic() + options.seconds
    needing = [] if options.score else [one for one, _ in todo]
    with surroundings(needing) as found, ThreadPoolExecutor(options.at_once) as workers:

        def perform(asked: tuple[Program, str]) -> None:
            if time.monotonic() > until:
                return
            told = _scored(*asked, options.shown) if options.score else _tell(*asked, found, options)
            if told:
                print(f"{asked[0].name} {asked[1]}: {told['points']}, {told['evidence']}", flush=True)
                results.keep(options.results, asked[0].name, asked[1], told, every)

        list(workers.map(perform, todo))
    if not options.names and options.seconds == math.inf:
        page.write(options.results.parent)
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.street.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="these programs; all, where none is named")
    parser.add_argument("--tool", action="append", choices=list(TOOLS), help="this tool; all, where none is named")
    parser.add_argument("--again", action="store_true", help="also what is known already")
    parser.add_argument("--disturbed", action="store_true", help="also what is known from a disturbed run")
    parser.add_argument("--show", action="store_true", help="print the largest stretches that the tool shows")
    parser.add_argument("--shown", type=Path, help="where what the tools showed is kept")
    parser.add_argument("--score", action="store_true", help="run nothing, score what was kept")
    parser.add_argument("--at-once", type=int, default=1, help="so many runs beside each other")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no run later than this")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / results.FILE)
    return parser.parse_args(argv)


def _tell(program: Program, tool: str, found: Mapping[str, str], options: argparse.Namespace) -> Told:
    if missing := absent(program):
        return {"points": None, "evidence": f"skipped: there is no {missing}"}
    load = tuple(one.fewer() for one in program.load)
    try:
        ran, stretches = run(TOOLS[tool], program, found, load)
    except _FAILURES as failed:
        return {"points": None, "evidence": f"failed: {type(failed).__name__} {str(failed)[-300:]}"}
    if options.show:
        _print(stretches)
    case = Case(program, ran.truth_ms, ran.wall_ms, ran.cpu_wait_share > DISTURBED)
    if options.shown:
        shown.keep(options.shown, tool, case, stretches)
    return _judged(case, stretches)


def _scored(program: Program, tool: str, folder: Path) -> Told:
    kept = shown.read(folder, tool, program)
    return _judged(*kept) if kept else {}


def _judged(case: Case, stretches: Sequence[Stretch]) -> Told:
    result = score(case, stretches)
    told = {"points": result.points, "evidence": result.evidence}
    return {**told, "truth_ms": round(case.truth_ms, 1), "disturbed": case.is_disturbed}


def _print(stretches: Sequence[Stretch]) -> None:
    for one in sorted(stretches, key=lambda one: -one.ms)[:25]:
        stack = " > ".join(f"{frame.function}:{frame.line}" for frame in one.frames[-12:])
        print(f"  {one.ms:8.1f} ms {one.state} {'request' if one.of_request else ''} {one.words[:150]} | {stack}")


if __name__ == "__main__":
    sys.exit(main())
