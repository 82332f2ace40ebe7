"""`python -m benchmarks.whatif [CASE ...] [--out PAGE]`: measures cells and predicts one from the other.

The two cells of a case are measured in turns, A B A B A B: a machine that others use, too, is another one minutes later.
Each recording has a prediction of its own. What was measured stays under --folder: --again predicts from it without
measuring what is there.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.command import publish, takes_out
from benchmarks.whatif.cases import CASES, CELLS, Case
from benchmarks.whatif.cell import Measured, measured
from benchmarks.whatif.page import Outcome, Round, page
from whywait import analysis


def main() -> int:
    """Runs the cases that are named, or all; 2 where a name is none."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whatif", description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of: {', '.join(one.name for one in CASES)}")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one cell")
    parser.add_argument("--rounds", type=int, default=3, help="how often both cells are measured")
    parser.add_argument("--folder", type=Path, default=Path(".cache/whatif"))
    parser.add_argument("--again", action="store_true", help="predict from what was measured before")
    parser.add_argument("--remark", help="on the conditions of this run, for the page")
    takes_out(parser)
    options = parser.parse_args()
    known = {one.name: one for one in CASES}
    if unknown := set(options.cases) - known.keys():
        print(f"no case {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    outcomes = []
    for one in map(known.get, options.cases or known):
        assert one is not None
        rounds = [_round(one, options.folder / one.name / str(number), options) for number in range(options.rounds)]
        outcomes.append(Outcome(one, rounds))
        print(f"{one.name} is done", file=sys.stderr, flush=True)
    conditions = f"{options.seconds:g} s a cell, {options.rounds} rounds. {options.remark or ''}".strip()
    publish(page(outcomes, conditions), options.out)
    return 0


def _round(case: Case, folder: Path, options: argparse.Namespace) -> Round:
    before, after = (
        measured(CELLS[name], folder, options.seconds, anew=not options.again) for name in (case.before, case.after)
    )
    return Round(before.felt, _predicted(case, before), after.felt, max(before.others, after.others))


def _predicted(case: Case, recorded: Measured) -> "analysis.Prediction | str":
    try:
        return analysis.whatif(analysis.analyze(recorded.traces), **case.change)
    except analysis.InputError as refused:
        return str(refused)


if __name__ == "__main__":
    sys.exit(main())
