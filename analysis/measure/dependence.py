"""How much requests that follow one another resemble each other, and what that leaves of their number."""

from math import isqrt, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_LONG_SWINGS: Final = 2.2  # times what neighbours explain: chance in less than one of a hundred runs
_MOST: Final = 0.97  # correlation of neighbours that is counted with
_PARTS: Final = 8  # of a run are always taken as independent, also where it only grows
_FEWEST: Final = 25  # to look for long swings among


def dependence(values: NDArray[Any]) -> float:
    """Return how many of these values, in order of time, tell as much about their mean as one independent value: 1 to an
    eighth of all."""
    count, apart = len(values), np.asarray(values, dtype=np.float64) - np.mean(values)
    spread = float(apart @ apart)
    if count < 3 or spread <= 0:
        return 1.0
    neighbours = float(apart[1:] @ apart[:-1]) / spread
    likely = neighbours > 1 / sqrt(count)  # else it may as well be chance, and would cost what it corrects
    neighbours = min(neighbours + (1 + 3 * neighbours) / count, _MOST)  # the estimate is too small in a short run
    near, most = (1 + neighbours) / (1 - neighbours) if likely else 1.0, max(count / _PARTS, 1.0)
    if count < _FEWEST:
        return min(near, most)
    length = isqrt(count)
    parts = apart[: count // length * length].reshape(-1, length).mean(axis=1)
    long = float(parts.var(ddof=1)) * length * count / spread
    return min(long if long > _LONG_SWINGS * near else near, most)


def quantile_of_t(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution, for a probability over one half."""
    freedom = min(max(freedom, 1.0), 2_000.0)
    # t = √freedom · tan(angle), whose density is the cosine to the power of freedom - 1
    angles = np.linspace(0, np.pi / 2, 10_001)[:-1]
    upto = np.cumsum(np.cos(angles) ** (freedom - 1))
    return float(np.sqrt(freedom) * np.tan(np.interp(2 * probability - 1, upto / upto[-1], angles)))
