"""The benchmark of latency attribution with known truth.

python -m benchmarks.truth --quick             a slice in less than a minute, told on the terminal
nice python -m benchmarks.truth --resume       all of it (tens of minutes), goes on where it was broken off
python -m benchmarks.truth --mutations         which score falls without which probe (about ten minutes; --resume)
python -m benchmarks.truth --mutations --probe adapters --only tokenized     one probe, one fault; the rest stays
python -m benchmarks.truth --page              the page from what is done so far, or from truth.json
python -m benchmarks.truth --seed 310          one generated program, what it truly did and what was told
python -m benchmarks.truth --only lock_held    the faults named, at all intensities; the page stays as it is
python -m benchmarks.truth --victims           who comes while the loop is held (ten minutes; --resume); this Python's rows of
                                               truth_victims.md
"""

import argparse
import json
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.truth import mutations, plan, victims
from benchmarks.truth.conditions import conditions
from benchmarks.truth.fault import FAULTS
from benchmarks.truth.felt import felt
from benchmarks.truth.grammar import draw
from benchmarks.truth.judge import run_unit
from benchmarks.truth.page import page
from benchmarks.truth.plan import Unit
from benchmarks.truth.plots import errors_picture, scores_picture
from benchmarks.truth.scores import score
from benchmarks.truth.store import FOLDER, ROOT, Store, fingerprint
from benchmarks.truth.terminal import fault_lines, request_lines
from testbed.gil.measure import build_yardstick, can_build
from whywait.tracer.hotpath import core

RESULTS: Final = ROOT / "benchmarks" / "results"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what was asked for; 0, or 2 where that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.truth", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="a slice: one seed and intensity")
    parser.add_argument("--resume", action="store_true", help="keep what a broken-off run of these sources did")
    parser.add_argument("--mutations", action="store_true", help="take out one probe at a time")
    parser.add_argument("--victims", action="store_true", help="requests that come while the loop is held")
    parser.add_argument("--probe", nargs="+", default=[], metavar="NAME", help="for --mutations: these probes")
    parser.add_argument("--page", action="store_true", help="write the page again, run nothing")
    parser.add_argument("--seed", type=int, help="of one generated program")
    parser.add_argument("--only", nargs="+", choices=sorted(FAULTS), help="these faults")
    parser.add_argument("--loop", choices=plan.LOOPS, default="asyncio", help="for --quick, --seed and --only")
    parser.add_argument("--keep", type=Path, help="a folder for the traces and the truth file of such a run")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the page goes")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the service that is up is ended, too
    with tempfile.TemporaryDirectory() as scratch:
        yardstick = build_yardstick(Path(scratch)) if can_build() else None
        if options.mutations:
            return _mutations(options, yardstick)
        if options.victims:
            return _victims(options, yardstick)
        if options.quick or options.only or options.seed is not None:
            return _some(options, yardstick)
        return _all(options, yardstick)


def _said(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _some(options: argparse.Namespace, yardstick: Path | None) -> int:
    if options.seed is not None:
        print(draw(options.seed).text())
        units = plan.programs((options.seed,), options.loop)
    elif options.only:
        units = [unit for name in options.only for unit in plan.only(name, options.loop, 1)]
    else:
        units = plan.quick(options.loop)
    records = [one for unit in units for one in run_unit(unit, yardstick=yardstick, keep=options.keep, said=_said)]
    if not options.quick:
        print("\n".join(request_lines(records)))
    if options.seed is None:
        print("\n".join(fault_lines(score(records))))
    return 0


def _mutations(options: argparse.Namespace, yardstick: Path | None) -> int:
    known = mutations.probes()
    unknown = [one for one in options.probe if one not in known]
    if unknown:
        _said(f"no probe is called {', '.join(unknown)}: expected some of {', '.join(known)}")
        return 2
    some = bool(options.probe or options.only)
    store = Store(FOLDER / f"{fingerprint()}-mutations{'-some' if some else ''}")
    if some or not options.resume:
        store.clear()
    found = mutations.run(yardstick, store, _said, options.probe, options.only or ())
    path = options.out / "truth_mutations.json"
    if some and path.exists():
        before = json.loads(path.read_text())
        found = {**before["probes"], **found}
        told = {"conditions": before["conditions"], "probes": found}
    else:
        told = {"conditions": conditions(), "probes": found}
    path.write_text(json.dumps(told, indent=1) + "\n")
    return _written(options.out)


def _victims(options: argparse.Namespace, yardstick: Path | None) -> int:
    """Runs them on this Python; the rows of others stay."""
    units = plan.victims()
    store = Store(FOLDER / f"{fingerprint()}-victims-{platform.python_version()}")
    if not options.resume:
        store.clear()
    failed = _run(units, store, yardstick)
    path = options.out / "truth_victims.json"
    told = json.loads(path.read_text()) if path.exists() else {}
    told[platform.python_version()] = victims.rows(store.records(units)) | {
        "conditions": conditions() | {"core": core.name, "yardstick": yardstick is not None}, "failed": failed,
    }  # fmt: skip
    path.write_text(json.dumps(told, indent=1) + "\n")
    page = victims.page(told)
    path.with_suffix(".md").write_text(page)
    print(page)
    return 0


def _all(options: argparse.Namespace, yardstick: Path | None) -> int:
    units = plan.full()
    store = Store(FOLDER / fingerprint())
    failed: list[str] = []
    if not options.page:
        if not options.resume:
            store.clear()
        failed = _run(units, store, yardstick)
    records = store.records(units)
    if records:  # else the page is made of the figures that are there
        told: dict[str, Any] = {
            "conditions": conditions() | {"yardstick": yardstick is not None},
            "units": {"planned": len(units), "done": sum(map(store.done, units)), "failed": failed},
            **score(records),
        }
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "truth.json").write_text(json.dumps(told, indent=1) + "\n")
    return _written(options.out)


def _run(units: Sequence[Unit], store: Store, yardstick: Path | None) -> list[str]:
    began_s, failed = time.monotonic(), []
    left = [unit for unit in units if not store.done(unit)]
    before = len(units) - len(left)
    for done, unit in enumerate(left, 1):
        _said(f"[{before + done}/{len(units)}] {unit.loop}, seed {unit.seed}, {unit.group}: {len(unit.cells)} cells")
        try:
            store.keep(unit, run_unit(unit, yardstick=yardstick, said=lambda text: _said(f"    {text}")))
        except Exception as error:  # the others are still worth having; the page says which are missing
            failed.append(f"{unit.key}: {error!r}"[:300])
            _said(f"    failed: {error!r}")
        rest_s = (time.monotonic() - began_s) / done * (len(left) - done)
        _said(f"    about {rest_s / 60:.0f} minutes to go")
    return failed


def _written(out: Path) -> int:
    made = out / "truth.json"
    if not made.exists():
        print(f"{made} is not there yet: python -m benchmarks.truth", file=sys.stderr)
        return 2
    told = {"felt": felt([]), **json.loads(made.read_text())}  # figures of an earlier version have none
    mutated = out / "truth_mutations.json"
    broken = json.loads(mutated.read_text()) if mutated.exists() else None
    (out / "truth.md").write_text(page(told, broken))
    (out / "truth_scores.svg").write_text(scores_picture(told))
    (out / "truth_errors.svg").write_text(errors_picture(told))
    _said(f"written: {out / 'truth.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
