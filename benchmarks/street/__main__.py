"""What whywait says of programs as found in bug reports, against what they measure of themselves.

python -m benchmarks.street                              all, on both loops; writes benchmarks/results/street.*
python -m benchmarks.street NAME... --loop uvloop        these; the page keeps what is known of the others
python -m benchmarks.street --quick NAME...              fewer requests, told on the terminal only
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.street import page
from benchmarks.street.contract import LOOPS, Program, programs
from benchmarks.street.perform import ROOT, perform
from benchmarks.street.surroundings import absent, surroundings
from benchmarks.street.verdict import Verdict, judge
from benchmarks.truth.conditions import conditions

RUNS: Final = 3
_PACKAGES: Final = (
    "fastapi", "starlette", "uvicorn", "uvloop", "hypercorn", "aiohttp", "httpx", "anyio", "asyncpg", "psycopg",
    "psycopg-pool", "redis", "sqlalchemy", "websockets",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the programs; 0, whatever their verdicts are."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.street", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="these programs; all, where none is named")
    parser.add_argument("--loop", choices=(*LOOPS, "both"), default="both")
    parser.add_argument("--quick", action="store_true", help="a third of the requests, once; no page")
    parser.add_argument("--runs", type=int, default=RUNS, help="at most, of a program that is disturbed")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="where the page goes")
    options = parser.parse_args(argv)
    chosen = programs(tuple(options.names))
    loops = LOOPS if options.loop == "both" else (options.loop,)
    with surroundings(chosen) as found:
        for program in chosen:
            for loop in (one for one in loops if one in program.loops):
                told = _tell(program, loop, found, options.quick, options.runs)
                if not options.quick:
                    _write(options.out, program.name, loop, told)
    return 0


def _tell(program: Program, loop: str, found: Mapping[str, str], quick: bool, runs: int) -> dict[str, Any]:
    if missing := absent(program):
        print(f"{program.name} {loop}: skipped, there is no {missing}", flush=True)
        return {"grade": "skipped", "told": f"no {missing}"}
    try:
        verdict = verdict_of(program, loop, found, quick, runs)
    except (RuntimeError, TimeoutError, subprocess.SubprocessError) as failed:
        print(f"{program.name} {loop}: failed, {failed}", flush=True)
        return {"grade": "failed", "told": str(failed)[-300:]}
    faults = f" (not: {', '.join(verdict.faults)})" if verdict.faults else ""
    print(f"{program.name} {loop}: {verdict.grade}{faults}; truth {program.cause} {verdict.truth_ms} ms"
          f" of {verdict.wall_ms} by {program.culprit or 'nobody'} {sorted(program.lines)}\n    told {verdict.told}"
          f"\n    no CPU {verdict.cpu_wait_share:.0%}", flush=True)  # fmt: skip
    return {**asdict(verdict), "disturbed": verdict.is_disturbed}


def verdict_of(program: Program, loop: str, found: Mapping[str, str], quick: bool, runs: int = 1) -> Verdict:
    """The verdict of the first run that nothing disturbed, else of the least disturbed one."""
    load = tuple(one.fewer() for one in program.load) if quick else program.load
    told: list[Verdict] = []
    for _ in range(1 if quick else runs):
        told.append(judge(program, perform(program, loop, found, load)))
        if not told[-1].is_disturbed or program.cause == "cpu_wait":
            break
    return min(told, key=lambda one: one.cpu_wait_share)


def _kept(out: Path) -> dict[str, Any]:
    known = out / "street.json"
    return dict(json.loads(known.read_text())["programs"]) if known.exists() else {}


def _write(out: Path, name: str, loop: str, told: dict[str, Any]) -> None:
    """After each program: what was done is kept where the run is broken off."""
    every, results = programs(), _kept(out)
    results.setdefault(name, {})[loop] = told
    known = {
        one.name: {loop: run for loop, run in results[one.name].items() if loop in one.loops}
        for one in every
        if one.name in results
    }
    facts = conditions(_PACKAGES)
    (out / "street.json").write_text(json.dumps({"conditions": facts, "programs": known}, indent=1) + "\n")
    page.write(out)


if __name__ == "__main__":
    sys.exit(main())
