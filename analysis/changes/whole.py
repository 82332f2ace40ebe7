"""Whether all requests of an endpoint became slower: for that, every one of them counts, and not those around a
percentile alone.

Means of logarithms are compared, by a test for unequal variances. What is independent is counted: a request counts the
less the more it resembles those before it; where a side has several runs, these count if they differ by more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, log, sqrt
from typing import Final

import numpy as np

from whywait.analysis.measure.dependence import dependence, quantile_of_t
from whywait.analysis.measure.percentile_composition import Sample
from whywait.analysis.situations.thresholds import MIN_SHARE

CHANCE_OF_SLOWER: Final = 0.009  # that one of all endpoints is called slower, and is not
MARGIN: Final = 1.1  # as slow as this is excluded, or it cannot be told
CHANCE_OF_MISSING: Final = 0.05  # that such a slow one is excluded
_POWER: Final = 0.84  # standard errors beyond, for four of five


@dataclass(frozen=True, slots=True)
class Shift:
    """How many times as long the requests take afterwards, each counting the same."""

    ratio: float
    low: float  # confidence interval, for all endpoints together
    high: float
    excluded: bool  # that they are slower by MARGIN
    needed: int | None  # requests a side by which MARGIN could be told; None where that is not known

    @property
    def slower(self) -> bool:
        """Beyond chance, and by a share worth telling."""
        return self.low > 1 and self.ratio >= 1 + MIN_SHARE

    @property
    def faster(self) -> bool:
        return self.high < 1 and self.ratio <= 1 / (1 + MIN_SHARE)


@dataclass(frozen=True, slots=True)
class _Run:
    """The mean logarithm of one run, its variance, and of how many values that is known."""

    mean: float
    variance: float
    freedom: float
    weight: float


def shift(before: Sequence[Sample], after: Sequence[Sample], endpoints: int) -> Shift:
    """Return how the runs after differ from those before, where as many endpoints are looked at."""
    sides = [list(map(_run, filter(len, side))) for side in (before, after)]
    means = [float(np.average([one.mean for one in side], weights=[one.weight for one in side])) for side in sides]
    change = means[1] - means[0]
    error, freedom = _error(sides, means)
    reach = quantile_of_t(1 - CHANCE_OF_SLOWER / endpoints, freedom)
    if error == inf:
        return Shift(exp(change), 0.0, inf, False, None)
    upper = change + quantile_of_t(1 - CHANCE_OF_MISSING, freedom) * error
    fewest = min(sum(map(len, side)) for side in (before, after))
    needed = ceil(fewest * max(error * (reach + _POWER) / log(MARGIN), 0.0) ** 2)
    low, high = (_exp(change + way * reach * error) for way in (-1, 1))
    return Shift(exp(change), low, high, upper < log(MARGIN), needed)


def _exp(value: float) -> float:
    return exp(min(value, 700.0))


def _run(sample: Sample) -> _Run:
    walls, weights = (part[sample.rank_in_time] for part in (sample.walls, sample.weights))
    logs = np.log(np.maximum(walls, 1))
    mean = float(np.average(logs, weights=weights))
    share = float((weights**2).sum() / weights.sum() ** 2)  # one over their number, if all count the same
    alike = dependence(logs)
    free = 1 / (share * alike)
    variance = inf if free <= 1 else float(np.average((logs - mean) ** 2, weights=weights)) / (free - 1)
    return _Run(mean, variance, max(free - 1, 0.0), float(weights.sum()))


def _error(sides: Sequence[Sequence[_Run]], means: Sequence[float]) -> tuple[float, float]:
    """Return the standard error of the difference, and its degrees of freedom."""
    runs = sum(map(len, sides)) - 2
    apart = sum((one.mean - mean) ** 2 for side, mean in zip(sides, means, strict=True) for one in side)
    between = apart / max(runs, 1) * sum(1 / len(side) for side in sides)
    variances, known = zip(*map(_variance, sides), strict=True)
    within = sum(variances)
    if runs > 0 and between > within:
        return sqrt(between), runs
    return sqrt(within), within**2 / sum(known) if sum(known) else inf


def _variance(side: Sequence[_Run]) -> tuple[float, float]:
    """Return the variance of a side's mean, and its square by the degrees of freedom."""
    whole = sum(one.weight for one in side)
    variance = sum((one.weight / whole) ** 2 * one.variance for one in side)
    return variance, variance**2 / max(sum(one.freedom for one in side), 1e-9)
