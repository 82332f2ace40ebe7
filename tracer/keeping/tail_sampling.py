"""Decides at a request's end whether it becomes spans. Pure, but for a memory of latencies. A kept trace's weight is
one over its sampling probability, known before the draw (Horvitz and Thompson, 1952): weighted sums are unbiased."""

from collections import defaultdict
from collections.abc import Callable
from math import log2
from random import Random
from time import monotonic
from typing import Any, Final, TypeVar

from whywait.tracer.config import KEEP_ALL, Config
from whywait.tracer.records.decision import WHY_ALL, WHY_ERROR, WHY_NEW, WHY_SHARE, WHY_SLOW, WHY_UNFINISHED, Decision

FEWEST: Final = 40  # requests of an endpoint before its quantile is used
_BUCKETS_PER_OCTAVE: Final = 16  # 4.4% wide
_REMEMBERED: Final = 4_000  # requests; then older ones count half
_RENEWED_EVERY: Final = 32
_MOST_ENDPOINTS: Final = 500
_DROPPED: Final = Decision(False, "", 0.0)
_OTHERS: Final = ""  # all endpoints beyond the limit
T = TypeVar("T")


class Quantile:
    """A quantile of a stream of durations, in buckets of equal ratio; older durations weigh less."""

    __slots__ = ("_counts", "_fraction", "_seen", "_threshold_ns", "_total")

    def __init__(self, fraction: float) -> None:
        self._fraction = fraction
        self._counts: dict[int, int] = {}
        self._total = 0
        self._seen = 0
        self._threshold_ns = 0.0

    def add(self, duration_ns: int) -> None:
        bucket = int(log2(max(duration_ns, 1)) * _BUCKETS_PER_OCTAVE)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._total += 1
        self._seen += 1
        if self._total >= _REMEMBERED:
            self._counts = {one: count // 2 for one, count in self._counts.items() if count > 1}
            self._total = sum(self._counts.values())
        if self._seen == FEWEST or not self._seen % _RENEWED_EVERY:
            self._threshold_ns = self._upper_bound_ns()

    @property
    def threshold_ns(self) -> float | None:
        """The upper end of the bucket with the quantile, ns; None before there are enough requests."""
        return self._threshold_ns if self._seen >= FEWEST else None

    def _upper_bound_ns(self) -> float:
        wanted = self._fraction * self._total
        below = 0
        for bucket, count in sorted(self._counts.copy().items()):
            below += count
            if below >= wanted:
                return float(2 ** ((bucket + 1) / _BUCKETS_PER_OCTAVE))
        return 0.0


class EvenDraws:
    """Draws that spread evenly: of requests whose probabilities sum to one, one is kept, at a place that is drawn anew
    each time. Each request has its probability, and weighted sums miss their mean by less than with draws that know
    nothing of one another, which tell a thousand requests of which one in a hundred is kept as 700 or as 1,300.

        sum of probabilities   |--1---|---2---|-3-|--4--|----5-----|      each request takes up its own
        blocks of one          |................|................|        in each lies one point: who has it is kept

    Of a request that reaches into the next block (`before` in this one, `after` in the next), the point of the next
    block is drawn so that the two cannot both fall to it: its probability is their sum, not less.
    """

    __slots__ = ("_at", "_point", "_random")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._at = 0.0  # of this block, what was taken up so far
        self._point = random.random()

    def keeps(self, probability: float) -> bool:
        """Return whether the next request is kept, which is so with this probability."""
        begin, end = self._at, self._at + probability
        if end < 1.0:
            self._at = end
            return begin <= self._point < end
        after, draw = end - 1.0, self._random.random()
        here = self._point >= begin
        there = not here and draw * begin < after
        self._at = after
        rest = self._random.random()
        self._point = after * rest if there else after + (1.0 - after) * rest
        return here or there


class Ceiling:
    """Keeps about `most` of the requests of a second. What is unusual in a burst's first second becomes rarer with
    each that came before it: `most` times 1 + ln(requests / `most`) are kept. Pure."""

    __slots__ = ("_before", "_count", "_most", "_second")

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = 0
        self._count = 0  # in this second
        self._before = 0  # in the one before

    def probability(self, now_s: float) -> float:
        """Return the probability with which this request, which would be kept, is kept. It follows from those before
        it and from no draw about it, so that one over it is its weight."""
        second = int(now_s)
        if second != self._second:
            self._before = self._count if second == self._second + 1 else 0
            self._second, self._count = second, 0
        self._count += 1
        return self._most / max(self._most, self._before, self._count)


class Keeper:
    """Decides for one session. The thread that ends a request calls `decide` once."""

    def __init__(self, config: Config, random: Random | None = None, clock_s: Callable[[], float] = monotonic) -> None:
        self._keep_all = config.keep == KEEP_ALL
        self._slow_ns = config.slow_ns
        self._fraction = config.slow_quantile
        self._share = config.keep_share
        self._random = random or Random()
        # of what is unusual and of what is not: draws for both together would leave it to chance which of them is kept
        self._draws: dict[str, dict[str, EvenDraws]] = defaultdict(dict)
        self._endpoints: dict[str, Quantile] = {}
        self._most = config.keep_per_s
        self._ceilings: dict[str, Ceiling] = {}
        self._clock_s = clock_s

    def decide(self, endpoint: str, wall_ns: int, *, error: bool, unfinished: bool = False) -> Decision:
        """Return whether the request that has just ended is kept."""
        if self._keep_all:
            return Decision(True, WHY_ALL, 1.0)
        if unfinished:
            return self._below_ceiling(endpoint, WHY_UNFINISHED, 1.0)
        slow_ns = self._slow_ns or self._learnt_ns(endpoint, wall_ns)
        if error:
            return self._below_ceiling(endpoint, WHY_ERROR, 1.0)
        if slow_ns is None:  # these are few
            return Decision(True, WHY_NEW, 1.0)
        if wall_ns >= slow_ns:
            return self._below_ceiling(endpoint, WHY_SLOW, 1.0)
        if self._keeps("", endpoint, self._share):
            return self._below_ceiling(endpoint, WHY_SHARE, self._share)
        return _DROPPED

    def _keeps(self, draws: str, endpoint: str, probability: float) -> bool:
        known = self._draws[draws]
        found = known.get(endpoint) or self._of_endpoint(known, endpoint, EvenDraws, self._random)
        return found.keeps(probability)

    def _below_ceiling(self, endpoint: str, why: str, share: float) -> Decision:
        if self._most:
            ceiling = self._of_endpoint(self._ceilings, endpoint, Ceiling, self._most)
            probability = ceiling.probability(self._clock_s())
            if probability < 1.0 and not self._keeps(why, endpoint, probability):
                return _DROPPED
            share *= probability
        return Decision(True, why, 1.0 / share)

    @staticmethod
    def _of_endpoint(known: dict[str, T], endpoint: str, make: Callable[..., T], setting: Any) -> T:
        found = known.get(endpoint)
        if found is None:
            if len(known) >= _MOST_ENDPOINTS:
                endpoint = _OTHERS
            found = known.setdefault(endpoint, make(setting))
        return found

    def _learnt_ns(self, endpoint: str, wall_ns: int) -> float | None:
        quantile = self._of_endpoint(self._endpoints, endpoint, Quantile, self._fraction)
        threshold_ns = quantile.threshold_ns
        quantile.add(wall_ns)
        return threshold_ns
