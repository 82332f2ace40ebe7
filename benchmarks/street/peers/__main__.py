"""What other tools tell of the programs of the street, by one written rule; whywait's own answers by the same.

python -m benchmarks.street.peers                        what is not yet known; writes benchmarks/results/street_peers.json
                                                         and, once all are asked, its section of street.md
python -m benchmarks.street.peers NAME... --tool sentry  these programs under these tools
python -m benchmarks.street.peers --again NAME...        although they are known
python -m benchmarks.street.peers --show NAME            prints the largest stretches as well
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.street import page
from benchmarks.street.contract import Program, programs
from benchmarks.street.peers import results
from benchmarks.street.peers.evidence import Stretch
from benchmarks.street.peers.rule import Case, score
from benchmarks.street.peers.tools import TOOLS, run
from benchmarks.street.perform import ROOT
from benchmarks.street.surroundings import absent, surroundings
from benchmarks.street.verdict import DISTURBED

LOOP: Final = "asyncio"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the programs under the tools; 0, whatever their scores are."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.street.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="these programs; all, where none is named")
    parser.add_argument("--tool", action="append", choices=list(TOOLS), help="this tool; all, where none is named")
    parser.add_argument("--again", action="store_true", help="also what is known already")
    parser.add_argument("--show", action="store_true", help="print the largest stretches that the tool shows")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / results.FILE)
    options = parser.parse_args(argv)
    every, chosen, tools = programs(), programs(tuple(options.names)), options.tool or list(TOOLS)
    known = {} if options.again else results.read(options.results).get("programs", {})
    todo = [(one, tool) for one in chosen for tool in tools if tool not in known.get(one.name, {})]
    with surroundings([one for one, _ in todo]) as found:
        for program, tool in todo:
            told = _tell(program, tool, found, options.show)
            print(f"{program.name} {tool}: {told['points']}, {told['evidence']}", flush=True)
            results.keep(options.results, program.name, tool, told, every)
    if not options.names:
        page.write(options.results.parent)
    return 0


def _tell(program: Program, tool: str, found: Mapping[str, str], show: bool) -> dict[str, Any]:
    if missing := absent(program):
        return {"points": None, "evidence": f"skipped: there is no {missing}"}
    load = tuple(one.fewer() for one in program.load)
    try:
        ran, shown = run(TOOLS[tool], program, LOOP, found, load)
    except (RuntimeError, TimeoutError, subprocess.SubprocessError, OSError) as failed:
        return {"points": None, "evidence": f"failed: {str(failed)[-300:]}"}
    if show:
        _print(shown)
    result = score(Case(program, ran.truth_ms, ran.wall_ms), shown)
    disturbed = ran.cpu_wait_share > DISTURBED
    return {
        "points": result.points,
        "evidence": result.evidence,
        "truth_ms": round(ran.truth_ms, 1),
        "disturbed": disturbed,
    }


def _print(shown: Sequence[Stretch]) -> None:
    for one in sorted(shown, key=lambda one: -one.ms)[:25]:
        stack = " > ".join(f"{frame.function}:{frame.line}" for frame in one.frames[-12:])
        print(f"  {one.ms:8.1f} ms {one.state} {'request' if one.of_request else ''} {one.words[:150]} | {stack}")


if __name__ == "__main__":
    sys.exit(main())
