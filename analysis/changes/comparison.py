"""What changed between two runs: the difference of a percentile, divided among causes.

Both sides' percentiles are divided by `composition` in whole nanoseconds, so the differences by cause sum to the
difference of the percentile exactly. Resampling both sides decides whether a difference is significant.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from whywait.analysis.causes import CAUSES, Cause
from whywait.analysis.changes import DEFAULT_PERCENTILE
from whywait.analysis.changes.changed_culprits import Mover, chief_movers
from whywait.analysis.changes.whole import Shift, shift
from whywait.analysis.errors import InputError
from whywait.analysis.measure.dependence import quantile_of_t
from whywait.analysis.measure.felt import both_percentiles
from whywait.analysis.measure.percentile_composition import (
    CHANCE,
    Sample,
    block_length,
    composition,
    rank_and_band,
    requests_needed,
    resampled,
    sample_of_endpoint,
)
from whywait.analysis.measure.weights import Floats
from whywait.analysis.model import Analysis
from whywait.analysis.situations.situation import Pattern
from whywait.analysis.situations.thresholds import MIN_MEAN_NS, MIN_SHARE
from whywait.analysis.verdicts.judgement import judge
from whywait.analysis.verdicts.remedies import Remedy, remedy

CHANCE_OF_ANY: Final = 0.002  # that the percentile of one of all endpoints is called changed, and is not


@dataclass(frozen=True, slots=True)
class CauseChange:
    """One cause's share of the difference."""

    cause: Cause
    before_ns: int
    after_ns: int
    low_ns: int  # confidence interval of the difference, at 1 - CHANCE
    high_ns: int
    certain: bool  # beyond chance, and above the reporting threshold
    mover: Mover | None  # the culprit whose share changed most, in the direction of the cause
    remedy: Remedy  # for the run after

    @property
    def delta_ns(self) -> int:
        """What it added to the percentile, ns; negative where it got less."""
        return self.after_ns - self.before_ns


@dataclass(frozen=True, slots=True)
class Change:
    """One endpoint's percentile before and after, and its causes, the greatest difference first."""

    endpoint: str
    requests_before: int
    requests_after: int
    before_ns: int
    after_ns: int
    low_ns: int
    high_ns: int
    certain: bool  # the percentile differs beyond chance, and above the reporting threshold
    tellable: bool  # both sides have enough requests for this percentile
    handler_before_ns: int  # the same percentile in the handler, for comparison; all else is of felt times
    handler_after_ns: int
    causes: tuple[CauseChange, ...]
    whole: Shift  # of all its requests, also where the percentile cannot tell

    @property
    def slower(self) -> bool:
        """Whether the percentile or the requests as a whole became slower beyond chance."""
        return self.whole.slower or (self.certain and self.delta_ns > 0)

    @property
    def delta_ns(self) -> int:
        """The difference of the percentile, ns: the sum of the differences of its causes."""
        return self.after_ns - self.before_ns

    @property
    def blamed(self) -> tuple[CauseChange, ...]:
        """The causes of the difference, the greatest first; () where it may be chance."""
        up = self.delta_ns > 0
        return tuple(one for one in self.causes if one.certain and (one.delta_ns > 0) == up) if self.certain else ()

    @property
    def remedy(self) -> Remedy | None:
        """What to do about the chief cause of a slower percentile; None where there is none."""
        return self.blamed[0].remedy if self.delta_ns > 0 and self.blamed else None

    @property
    def against(self) -> tuple[CauseChange, ...]:
        """The causes that changed in the other direction, or while the percentile did not."""
        return tuple(one for one in self.causes if one.certain and one not in self.blamed)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side."""

    percentile: float
    changes: tuple[Change, ...]  # the greatest difference first
    only_before: tuple[str, ...]  # endpoints that the other run is without
    only_after: tuple[str, ...]


def compare(
    before: Analysis | Sequence[Analysis], after: Analysis | Sequence[Analysis], percentile: float = DEFAULT_PERCENTILE
) -> Comparison:
    """Return what changed, for each endpoint that both sides have; a side may be several runs of the same.

    `percentile` of the endpoint's wall times is over 0 and under 100. Raises InputError for any other, and when
    the runs have no analysed endpoint in common.
    """
    if not 0 < percentile < 100:
        raise InputError(f"percentile {percentile:g}: expected a number over 0 and under 100, such as 95")
    sides = [(one,) if isinstance(one, Analysis) else tuple(one) for one in (before, after)]
    joint = joined(sides[0]), joined(sides[1])
    first, second = (set(one.causes["endpoint"].unique()) for one in joint)
    common = sorted(map(str, first & second))
    if not common:
        raise InputError(
            "the two runs have no endpoint in common: "
            f"before has {_listed(first)}, after has {_listed(second)}. To compare two that differ in name, "
            "choose them: --endpoint TEXT --against TEXT"
        )
    situations = {one.endpoint: one.situations for one in judge(joint[1])}
    changes = [
        _change(
            name, (number, len(common)), joint, percentile, situations.get(name, ()),
            shift(_samples(sides[0], name), _samples(sides[1], name), len(common)),
        )
        for number, name in enumerate(common)
    ]  # fmt: skip
    changes.sort(key=lambda one: (-abs(one.delta_ns), one.endpoint))
    return Comparison(percentile, tuple(changes), tuple(sorted(first - second)), tuple(sorted(second - first)))


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "") or "none that was recorded whole"


def joined(runs: Sequence[Analysis]) -> Analysis:
    """Return several runs as one."""
    if len(runs) == 1:
        return runs[0]
    requests, causes, culprits, spans = (
        pd.concat([getattr(one, name) for one in runs], ignore_index=True)
        for name in ("requests", "causes", "culprits", "spans")
    )
    return Analysis(
        requests, causes, culprits, spans, tuple(dict.fromkeys(found for one in runs for found in one.findings))
    )


def _change(
    endpoint: str,
    order: tuple[int, int],
    runs: tuple[Analysis, Analysis],
    percentile: float,
    situations: Sequence[Pattern],
    whole: Shift,
) -> Change:
    number, among = order
    before, after = runs
    sides = sample_of_endpoint(before, endpoint), sample_of_endpoint(after, endpoint)
    parts = tuple(composition(side, percentile) for side in sides)
    walls = sum(parts[0]), sum(parts[1])
    handler = [both_percentiles(one.analysed[one.analysed["endpoint"] == endpoint], [percentile])[1][0] for one in runs]
    tellable = min(map(len, sides)) >= requests_needed(percentile)
    drawn = resampled(sides[1], percentile, 2 * number + 1) - resampled(sides[0], percentile, 2 * number)
    matters_ns = max(MIN_MEAN_NS, MIN_SHARE * max(walls))
    drawn = np.column_stack([drawn, drawn.sum(axis=1)])  # by cause, and of all
    low, high = _interval(drawn, 1.0)
    # where the requests as a whole changed, a percentile and its causes are no further chance of a false alarm
    surely_low, surely_high = (low, high) if whole.slower or whole.faster else _interval(drawn, _stretch(sides, among))
    movers = chief_movers(
        _band(before, sides[0], percentile), _band(after, sides[1], percentile),
        {str(cause): int(parts[1][at] - parts[0][at]) for at, cause in enumerate(CAUSES)},
    )  # fmt: skip

    def certain(delta_ns: int, at: int) -> bool:
        return bool(tellable and abs(delta_ns) >= matters_ns and (surely_low[at] > 0 or surely_high[at] < 0))

    causes = [
        CauseChange(
            cause, parts[0][at], parts[1][at], round(low[at]), round(high[at]),
            certain(parts[1][at] - parts[0][at], at), movers.get(str(cause)), remedy(cause, situations),
        )
        for at, cause in enumerate(CAUSES) if parts[0][at] or parts[1][at]
    ]  # fmt: skip
    causes.sort(key=lambda one: (-abs(one.delta_ns), str(one.cause)))
    return Change(
        endpoint, len(sides[0]), len(sides[1]), walls[0], walls[1], round(low[-1]), round(high[-1]),
        certain(walls[1] - walls[0], -1), tellable, handler[0], handler[1], tuple(causes), whole,
    )  # fmt: skip


def _samples(runs: Sequence[Analysis], endpoint: str) -> list[Sample]:
    return [sample_of_endpoint(run, endpoint) for run in runs]


def _interval(drawn: Floats, stretch: float) -> tuple[Floats, Floats]:
    low, middle, high = np.quantile(drawn, [CHANCE / 2, 0.5, 1 - CHANCE / 2], axis=0)
    return middle - stretch * (middle - low), middle + stretch * (high - middle)


def _stretch(sides: Sequence[Sample], among: int) -> float:
    """By how much an interval at 1 - CHANCE is too narrow for all endpoints together, and for blocks that are few."""
    blocks = min(len(side) / block_length(side) for side in sides)
    return quantile_of_t(1 - CHANCE_OF_ANY / among / 2, blocks - 1) / quantile_of_t(1 - CHANCE / 2, np.inf)


def _band(analysis: Analysis, sample: Sample, percentile: float) -> tuple[pd.DataFrame, float]:
    """Return the culprits of the requests in the band, each `ns` times the request's share, and the sum of shares."""
    _, band = rank_and_band(sample.weights, percentile)
    shares = pd.Series(band, index=sample.request_ids)
    inside = analysis.culprits[analysis.culprits["request_id"].isin(sample.request_ids[band > 0])]
    share = inside["request_id"].map(shares).astype("float64")
    return inside.assign(ns=inside["ns"] * share), float(band.sum())
