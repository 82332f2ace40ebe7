"""Divides a percentile among causes, in whole nanoseconds that sum to the percentile.

It is by nearest rank, one real request's wall time, and divided in the proportions of the requests around it:

    requests by wall time   ......................................|-----band-----|..
                                                                        ^ the percentile's rank

The band is the tenth of the requests nearest in rank, at least BAND_LEAST, by weight. Its sums by cause divide the
percentile's nanoseconds, with the largest remainders.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whywait.analysis.causes import CAUSES
from whywait.analysis.measure.dependence import dependence
from whywait.analysis.measure.weights import Floats, nearest_rank, weights_of
from whywait.analysis.model import Analysis
from whywait.analysis.spans.span_table import Ints

BAND_LEAST: Final = 5
RESAMPLES: Final = 400
SEED: Final = 20_240_229  # the same traces give the same interval
CHANCE: Final = 0.01  # of an interval not to contain the true value
_NUMBER: Final = {str(cause): number for number, cause in enumerate(CAUSES)}


@dataclass(frozen=True, slots=True)
class Sample:
    """The requests of one endpoint: causes in the order of CAUSES, rows in the order of wall time."""

    request_ids: NDArray[np.object_]
    amounts: NDArray[np.int64]  # request × cause
    walls: Ints
    weights: Floats  # how many requests each one represents
    rank_in_time: Ints  # for the requests in order of their start, the row of each

    def __len__(self) -> int:
        return len(self.walls)


def sample_of(requests: pd.DataFrame, causes: pd.DataFrame) -> Sample:
    """Return the analysed ones of `requests` with the causes of each; `causes` may have rows of others too."""
    ids = pd.Index(requests["request_id"])
    row = ids.get_indexer(pd.Index(causes["request_id"]))
    known = row >= 0
    amounts = np.zeros((len(ids), len(CAUSES)), dtype=np.int64)
    column = np.array([_NUMBER[one] for one in causes["cause"].tolist()], dtype=np.int64)
    np.add.at(amounts, (row[known], column[known]), causes["amount_ns"].to_numpy(dtype=np.int64)[known])
    walls = amounts.sum(axis=1)
    analysed = np.flatnonzero(walls > 0)
    request_ids = requests["request_id"].to_numpy(dtype=object)
    start = requests["start_ns"].to_numpy(dtype=np.int64)
    weights = np.asarray(weights_of(requests), dtype=np.float64)
    by_wall = analysed[np.lexsort((request_ids[analysed].astype(str), walls[analysed]))]
    return Sample(
        request_ids[by_wall], amounts[by_wall], walls[by_wall], weights[by_wall],
        np.argsort(start[by_wall], kind="stable"),
    )  # fmt: skip


def sample_of_endpoint(analysis: Analysis, endpoint: str) -> Sample:
    """Return the analysed requests of an endpoint."""
    requests, causes = (table[table["endpoint"] == endpoint] for table in (analysis.requests, analysis.causes))
    return sample_of(requests, causes)


def rank_and_band(weights: Floats, percentile: float) -> tuple[int, Floats]:
    """Return the row of the percentile, and the share of each row that is in the band around it."""
    upto = np.cumsum(weights)
    target = percentile / 100 * upto[-1]
    rank = nearest_rank(upto, percentile)
    width = upto[-1] / 10
    low = min(max(target - width / 2, 0.0), upto[-1] - width)
    inside = np.minimum(upto, low + width) - np.maximum(upto - weights, low)
    band = np.maximum(inside, 0.0)
    if np.count_nonzero(band) < BAND_LEAST:
        first = min(max(rank - BAND_LEAST // 2, 0), max(len(weights) - BAND_LEAST, 0))
        band = np.zeros(len(weights))
        band[first : first + BAND_LEAST] = weights[first : first + BAND_LEAST]
    return rank, band


def composition(sample: Sample, percentile: float) -> tuple[int, ...]:
    """Return the percentile's nanoseconds by cause, in the order of CAUSES. Raises ValueError for a sample without
    requests."""
    if not len(sample):
        raise ValueError("no requests to take a percentile of")
    rank, band = rank_and_band(sample.weights, percentile)
    # thousandths of a nanosecond: weights need not be integers
    weights = [round(float(ns) * 1000) for ns in band @ sample.amounts]
    return divided(int(sample.walls[rank]), weights)


def divided(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Return `total` divided by weight in whole numbers, the largest remainders rounded up: they sum to it."""
    whole = sum(weights)
    if whole <= 0:
        raise ValueError("nothing to divide by")
    parts = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    for at in sorted(range(len(weights)), key=lambda one: (-remainders[one], one))[: total - sum(parts)]:
        parts[at] += 1
    return tuple(parts)


def resampled(sample: Sample, percentile: float, seed: int) -> Floats:
    """Return RESAMPLES compositions (resample × cause, ns). Blocks of requests that began one after the other are
    drawn: neighbours in time are not independent."""
    count = len(sample)
    draw = np.random.default_rng([SEED, seed])
    length = block_length(sample)
    blocks = -(-count // length)
    made = np.empty((RESAMPLES, len(CAUSES)))
    for number in range(RESAMPLES):
        starts = draw.integers(0, count, blocks)
        drawn = ((starts[:, None] + np.arange(length)) % count).ravel()[:count]
        times = np.bincount(sample.rank_in_time[drawn], minlength=count)
        rows = np.flatnonzero(times)
        rank, band = rank_and_band(sample.weights[rows] * times[rows], percentile)
        inside = np.flatnonzero(band)
        sums = band[inside] @ sample.amounts[rows[inside]]
        made[number] = sums * (sample.walls[rows[rank]] / sums.sum())
    return made


def block_length(sample: Sample) -> int:
    """Return how many requests in order of time depend on one another: what is drawn together."""
    alike = ceil(dependence(sample.walls[sample.rank_in_time]))
    return int(min(max(round(len(sample) ** (1 / 3)), alike), len(sample)))


def requests_needed(percentile: float) -> int:
    """Return how many requests can bound this percentile from both sides at CHANCE: with fewer, all of them may
    be on one side of the true value."""
    nearest = max(percentile, 100 - percentile) / 100
    return max(2, ceil(log(CHANCE / 2) / log(nearest))) if nearest < 1 else 2**31


def highest_tellable(count: int) -> int:
    """Return the highest whole percentile that `count` requests can bound, 0 without one."""
    return max((one for one in range(50, 100) if requests_needed(one) <= count), default=0)
