"""The page: each change, what was predicted and what was measured; and how both agree, against the goals."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from statistics import median
from typing import Final

from benchmarks.command import machine_and_load
from benchmarks.whatif.cases import CASES, Case
from benchmarks.whatif.load import Felt
from whywait.analysis import Prediction

SAME: Final = 0.1  # a change of felt p50 by less has no sign
QUIET: Final = 0.5  # CPUs used by other programs in the busier cell of a case
HEAD: Final = """# What a change would bring: predicted, and then done

`python -m benchmarks.whatif`: a service (benchmarks/whatif/service.py) is recorded, the change is predicted from the
recording alone, and then made and measured, in several rounds: A B A B A B. Felt times are the clients'; both cells were
traced. A closed load, unless the change is to a rate. Each figure is the median of the rounds: recorded → predicted (95%
interval) → measured, and how far the prediction was off; **bold** where the measured value lies outside of the interval.
Sign: of the change of p50 (a change below 10% has none).
"""


@dataclass(frozen=True, slots=True)
class Round:
    """Both cells of a case, measured once. `prediction`: a sentence where it was refused."""

    before: Felt
    prediction: Prediction | str
    after: Felt
    others: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case as it went."""

    case: Case
    rounds: Sequence[Round]

    @property
    def others(self) -> float:
        return max(one.others for one in self.rounds)

    @property
    def refused(self) -> str:
        """Why nothing was predicted, in most of its rounds; else ""."""
        said = [one.prediction for one in self.rounds if isinstance(one.prediction, str)]
        return said[0] if 2 * len(said) > len(self.rounds) else ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One predicted figure beside its measurement, in the same unit."""

    before: float
    predicted: float
    low: float
    high: float
    measured: float

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1

    @property
    def held(self) -> bool:
        return self.low <= self.measured <= self.high

    def __str__(self) -> str:
        before, predicted, low, high, measured = (
            f"{value:.3g}" for value in (self.before, self.predicted, self.low, self.high, self.measured)
        )
        text = f"{before} → {predicted} ({low} to {high}) → {measured}, {self.error:+.0%}"
        return text if self.held else f"**{text}**"


def figures(one: Outcome) -> tuple[Figure, Figure, Figure] | None:
    """Return p50 and p95 (ms) and throughput (per s), each the median of the rounds; None where nothing was predicted."""
    if one.refused:
        return None
    rounds = [some for each in one.rounds if (some := _figures(each))]
    p50, p95, throughput = (
        Figure(*(median(getattr(some, name) for some in figure) for name in Figure.__slots__))
        for figure in zip(*rounds, strict=True)
    )
    return p50, p95, throughput


def _figures(one: Round) -> tuple[Figure, Figure, Figure] | None:
    found = one.prediction
    if isinstance(found, str):
        return None
    p50, p95, throughput = (
        Figure(before, said.after / unit, said.low / unit, said.high / unit, after)
        for before, said, after, unit in (
            (one.before.p50, found.p50, one.after.p50, 1e6), (one.before.p95, found.p95, one.after.p95, 1e6),
            (one.before.throughput, found.throughput, one.after.throughput, 1.0),
        )
    )  # fmt: skip
    return p50, p95, throughput


def sign_is_right(p50: Figure) -> bool:
    """Whether p50 moved where it was said to; where it hardly moved, whether that was said."""
    said, done = p50.predicted / p50.before - 1, p50.measured / p50.before - 1
    return said * done > 0 or (abs(done) < SAME and abs(said) < 2 * SAME)


def page(outcomes: Sequence[Outcome], conditions: str) -> str:
    """Return the page in Markdown; `conditions`: under which it was measured."""
    table = ["| change | felt p50, ms | felt p95, ms | requests/s | sign | others' CPUs |", "|---|---|---|---|---|---|"]
    table += map(_row, outcomes)
    quiet = [one for one in outcomes if one.others <= QUIET]
    rows = zip(_totals(outcomes), _totals(quiet), strict=True)
    told = [f"| {name} | {goal} | {found} | {undisturbed} |" for (name, goal, found), (_, _, undisturbed) in rows]
    heads = [f"| | goal | all | others used ≤ {QUIET} CPUs |", "|---|---|---|---|"]
    left = [one.name for one in CASES if one not in [outcome.case for outcome in outcomes]]
    missing = f"- not measured: {', '.join(left) or 'none'}"
    return "\n".join([HEAD, machine_and_load(), f"- {conditions}", missing, "", *heads, *told, "", *table])


def _totals(outcomes: Sequence[Outcome]) -> list[tuple[str, str, str]]:
    """Return by measure its goal, and how all predictions agree with what came."""
    found = [some for one in outcomes if (some := figures(one))]
    errors = sorted(abs(p50.error) for p50, _, _ in found) or [nan]
    rates = [abs(throughput.error) for _, _, throughput in found]
    held = sum(one.held for some in found for one in some)
    return [
        ("predictions, and refused", "", f"{len(found)}, {len(outcomes) - len(found)}"),
        ("sign right", "all", f"{sum(sign_is_right(p50) for p50, _, _ in found)} of {len(found)}"),
        ("error of p50, median", "≤ 15%", f"{median(errors):.0%}"),
        ("error of p50, 95th percentile", "≤ 35%", f"{errors[min(len(errors) - 1, int(0.95 * len(errors)))]:.0%}"),
        ("error of throughput within 10%", "all", f"{sum(rate <= 0.1 for rate in rates)} of {len(rates)}"),
        ("intervals that hold", "≥ 85%", f"{held / max(1, 3 * len(found)):.0%}"),
    ]


def _row(one: Outcome) -> str:
    said = ", ".join(f"{name} {value}" for name, value in one.case.change.items())
    found = figures(one)
    if found is None:
        return f"| {one.case.name}: {said} | refused: {one.refused} | | | | {one.others:.2f} |"
    sign = "right" if sign_is_right(found[0]) else "**wrong**"
    return f"| {one.case.name}: {said} | {found[0]} | {found[1]} | {found[2]} | {sign} | {one.others:.2f} |"
