"""`python -m benchmarks.host_suites`: other people's tests, first without and then with every probe on, test by test.

Each suite runs in processes of its own in three modes (see `tracing.py`). A test whose outcome differs is
run again both ways; what remains is a difference, and is either explained in `explained.toml` or a bug.
Exits 1 when a difference is not explained.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from threading import Lock

from benchmarks.host_suites import interpreters
from benchmarks.host_suites.compare import UNFINISHED, Difference, Explanation, Run, differing
from benchmarks.host_suites.interpreters import CACHE, ROOT, Interpreter
from benchmarks.host_suites.page import SuiteResult, page
from benchmarks.host_suites.suite_run import Suite, run_suite
from benchmarks.host_suites.suites import LEFT_OUT, SHIPPED
from benchmarks.host_suites.tracing import MODES, PLAIN

PAGE = ROOT / "benchmarks" / "results" / "host_suites.md"
_one_at_a_time = Lock()  # some suites of libraries listen on a port of their own choice
AGAIN = 3  # how often both ways are run again when they differ


def main() -> int:
    """Runs what was asked for, prints the differences and writes the page."""
    options = _options()
    # a job in the background ignores it and would pass that on; some tests interrupt themselves
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = [interpreters.find(name) for name in options.pythons]
    skipped = [one for one in found if isinstance(one, str)]
    usable = [one for one in found if isinstance(one, Interpreter)]
    skipped += [f"{one.name}: not asked for" for one in SHIPPED if one.name not in options.libraries]
    skipped += LEFT_OUT
    for reason in skipped:
        print(f"skipped {reason}")
    work: list[tuple[Interpreter, Path, Suite]] = []
    kept = CACHE / "results" / _digest()
    CACHE.mkdir(parents=True, exist_ok=True)
    for one in usable:
        python = interpreters.environment(one)
        suites, missing = interpreters.cpython_suites(one, usable, options.tests)
        skipped += [f"{one.version} {name}: shipped by no interpreter given" for name in missing]
        suites += [
            Suite(each.name, shipped=each, folder=interpreters.source_of(each, python))
            for each in SHIPPED
            if each.name in options.libraries
        ]
        work += [(one, python, suite) for suite in suites if _wanted(suite.name, options.only)]
    if options.found:
        results = [found for one, _, suite in work if (found := _found(kept, one, suite)) is not None]
    else:
        with ThreadPoolExecutor(options.jobs) as pool:
            results = list(pool.map(lambda item: _examine(*item, kept, resume=options.resume), work))
    explanations = _explanations()
    text, unexplained = page(results, skipped, explanations, PAGE.read_text() if options.found else "")
    if not options.only:
        PAGE.write_text(text)
        print(f"written: {PAGE.relative_to(ROOT)}")
    print("\n".join(unexplained) or "no unexplained difference")
    return 1 if unexplained or not usable else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.host_suites")
    parser.add_argument("pythons", nargs="*", default=["python3.11", "python3.12", "python3.13", "python3.14"])
    parser.add_argument("--only", action="append", help="suites whose name begins so; writes no page")
    parser.add_argument(
        "--libraries", nargs="*", default=[one.name for one in SHIPPED], help="whose suites, of those known"
    )
    parser.add_argument("--jobs", type=int, default=2, help="suites at a time")
    parser.add_argument("--tests", type=Path, action="append", default=[], help="a `test` folder under .../pythonX.Y/")
    parser.add_argument(
        "--resume", action="store_true", help="keep what an earlier run of these very sources has found"
    )
    parser.add_argument(
        "--found",
        action="store_true",
        help="run nothing: the page of what earlier runs found, marked where of other sources",
    )
    return parser.parse_args()


def _found(kept: Path, one: Interpreter, suite: Suite) -> SuiteResult | None:
    """What the latest run found, of these very sources if there is one."""
    files = list(kept.parent.glob(f"*/{one.version}/{suite.name}.json"))
    latest = max(files, key=lambda path: (path.is_relative_to(kept), path.stat().st_mtime), default=None)
    if latest is None:
        return None
    result = SuiteResult.of_json(json.loads(latest.read_text()))
    result.is_older = not latest.is_relative_to(kept)
    return result


def _wanted(name: str, only: list[str] | None) -> bool:
    return not only or any(name.startswith(one) for one in only)


def _examine(one: Interpreter, python: Path, suite: Suite, results: Path, *, resume: bool) -> SuiteResult:
    kept = results / one.version / f"{suite.name}.json"
    if resume and kept.exists():
        return SuiteResult.of_json(json.loads(kept.read_text()))
    with _one_at_a_time if suite.shipped is not None else nullcontext():
        runs = {mode: run_suite(python, suite, mode) for mode in MODES}
        differences = _differences(one, python, suite, runs)
    result = SuiteResult(one.version, suite.name, suite.lender, runs, differences)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(asdict(result)))
    seconds = sum(run.seconds for run in runs.values())
    tests = len(runs[PLAIN].outcomes)
    line = f"{one.version} {suite.name}: {tests} tests, {seconds:.0f} s"
    for each in result.differences:
        line += f"\n    {'DIFFERS' if each.is_real() else 'flaky'} {each.mode} {each.test}: {each.plain} {each.traced}"
    print(line, flush=True)
    return result


def _differences(one: Interpreter, python: Path, suite: Suite, runs: dict[str, Run]) -> list[Difference]:
    plain = [runs[PLAIN]]
    found: list[Difference] = []
    for mode in MODES[1:]:
        names = differing(plain[0], runs[mode])
        if not names:
            continue
        traced = [runs[mode], *(run_suite(python, suite, mode) for _ in range(AGAIN))]
        while len(plain) < len(traced):
            plain.append(run_suite(python, suite, PLAIN))
        for name in names:
            seen = [tuple(run.outcomes.get(name, "not run") for run in of) for of in (plain, traced)]
            odd = next((run for run in traced if run.outcomes.get(name) != seen[0][0]), traced[0])
            detail = odd.details.get(name, "")
            if name == "(process)":
                unfinished = [test for test, outcome in odd.outcomes.items() if outcome == UNFINISHED]
                detail = f"unfinished: {', '.join(unfinished)}\n{detail}"
            found.append(Difference(one.version, suite.name, mode, name, seen[0], seen[1], detail))
    return found


def _explanations() -> list[Explanation]:
    with (Path(__file__).parent / "explained.toml").open("rb") as file:
        return [Explanation(**one) for one in tomllib.load(file).get("difference", [])]


def _digest() -> str:
    seen = hashlib.sha256()
    for path in sorted(
        [*(ROOT / "tracer").rglob("*.py"), *(ROOT / "tracer").rglob("*.[ch]"), *Path(__file__).parent.glob("*.py")]
    ):
        if path.name not in ("__main__.py", "page.py", "compare.py"):
            seen.update(path.read_bytes())
    return seen.hexdigest()[:16]


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
