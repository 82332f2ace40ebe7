"""What was counted in the last seconds, by endpoint. Pure: the caller passes the length of each round.

A request belongs to the round in which its trace was counted, a few seconds after it ended, so that the rate is
right for any delay of traces. Durations are kept in buckets 2% wide, so that memory does not grow with the
traffic.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from math import log2
from typing import Final, TypeVar

import numpy as np

from whywait.analysis.live.counting import Busy, Counted, Culprit
from whywait.analysis.live.labels import MOST_ENDPOINTS, Labels, printable
from whywait.analysis.live.pace import LONGEST_WINDOW_S
from whywait.analysis.measure.weights import percentiles

_PER_OCTAVE: Final = 32
BUCKET: Final = 2 ** (1 / _PER_OCTAVE)  # how much longer the next bucket's durations are
_MOST_CULPRITS: Final = 100  # of an endpoint in one round
_MOST_POOLS: Final = 20
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Worst:
    """The longest request of an endpoint in the window."""

    trace_id: str
    wall_ns: int
    by_cause: dict[str, int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint over the window. Everything but `traced` and `worst` is an estimate for all requests."""

    name: str
    requests: float
    traced: int
    p50_ns: float  # felt by clients
    p95_ns: float
    handler_ns: tuple[float, float]  # p50 and p95 in the handler
    by_cause: dict[str, float]  # ns in sum, largest first
    culprits: dict[Culprit, float]  # ns in sum, largest first
    worst: Worst

    @property
    def wall_ns(self) -> float:
        """The wall time of all its requests, ns."""
        return sum(self.by_cause.values())


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool's workers, as traced requests used them."""

    name: str
    size: int  # of one process; 0 where unknown
    processes: int
    busy: float  # workers that were busy, on average over the window


@dataclass(frozen=True, slots=True)
class View:
    """The last seconds."""

    seconds: float  # that it covers; 0 before anything was counted
    endpoints: tuple[Endpoint, ...]  # most time first
    pools: tuple[Pool, ...]  # busiest first
    incomplete: int

    def mean_ns(self, *causes: str) -> float:
        """Return the time of these causes, ns per request on average over all endpoints."""
        requests = sum(one.requests for one in self.endpoints)
        amount = sum(one.by_cause.get(cause, 0.0) for one in self.endpoints for cause in causes)
        return amount / requests if requests else 0.0


@dataclass(slots=True)
class _Sums:
    """One endpoint in one round, or in several."""

    requests: float = 0.0
    traced: int = 0
    walls: dict[int, float] = field(default_factory=dict)  # bucket → weight
    handlers: dict[int, float] = field(default_factory=dict)
    by_cause: dict[str, float] = field(default_factory=dict)
    culprits: dict[Culprit, float] = field(default_factory=dict)
    worst: Worst = field(default_factory=lambda: Worst("", -1, {}))

    def add(self, request: Counted) -> None:
        weight = request.weight
        self.requests += weight
        self.traced += 1
        _add(self.walls, {_bucket(request.wall_ns): weight})
        _add(self.handlers, {_bucket(request.handler_ns): weight})
        _add(self.by_cause, {cause: ns * weight for cause, ns in request.by_cause.items()})
        for culprit, ns in request.culprits.items():
            if culprit in self.culprits or len(self.culprits) < _MOST_CULPRITS:
                _add(self.culprits, {culprit: ns * weight})
        self._keep(Worst(request.trace_id, request.wall_ns, request.by_cause))

    def merge(self, other: "_Sums") -> None:
        self.requests += other.requests
        self.traced += other.traced
        _add(self.walls, other.walls)
        _add(self.handlers, other.handlers)
        _add(self.by_cause, other.by_cause)
        _add(self.culprits, other.culprits)
        self._keep(other.worst)

    def _keep(self, worst: Worst) -> None:
        if worst.wall_ns > self.worst.wall_ns:
            self.worst = worst


def _quantiles_ns(of: Mapping[int, float]) -> tuple[float, float]:
    """The middles of the buckets with p50 and p95, ns."""
    p50, p95 = 2 ** ((percentiles(np.array([*of]), [*of.values()], (50, 95)) + 0.5) / _PER_OCTAVE)
    return float(p50), float(p95)


class _Turn:
    __slots__ = ("endpoints", "incomplete", "pools", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.endpoints: dict[str, _Sums] = {}
        self.pools: dict[tuple[str, int, int], float] = {}  # name, size, process → ns
        self.incomplete = 0

    def count(self, requests: Iterable[Counted], labels: Labels) -> None:
        for request in requests:
            if request.by_cause:
                self.endpoints.setdefault(labels.label(request.endpoint), _Sums()).add(request)
            else:
                self.incomplete += 1

    def count_busy(self, busy: Iterable[Busy]) -> None:
        for one in busy:
            key = (printable(one.pool), one.size, one.process)
            if key in self.pools or len(self.pools) < 10 * _MOST_POOLS:
                _add(self.pools, {key: one.run_ns * one.weight})


class Window:
    """The last `seconds`, at most LONGEST_WINDOW_S, rounded up to whole rounds."""

    def __init__(self, seconds: float, most_endpoints: int = MOST_ENDPOINTS) -> None:
        self._seconds = min(seconds, LONGEST_WINDOW_S)
        self._most = most_endpoints
        self._turns: deque[_Turn] = deque()

    def add(self, seconds: float, requests: Iterable[Counted], busy: Iterable[Busy] = ()) -> None:
        """Count the result of a round of this length. Rounds before the first count are ignored."""
        turn = _Turn(seconds)
        turn.count(requests, Labels(self._most))  # of this turn: an endpoint of an hour ago takes no place
        turn.count_busy(busy)
        if self._turns or turn.endpoints or turn.incomplete:
            self._turns.append(turn)
        while len(self._turns) > 1 and self._covered_s() - self._turns[0].seconds >= self._seconds:
            self._turns.popleft()

    def view(self) -> View:
        """Return the view of the last seconds."""
        merged: dict[str, _Sums] = {}
        pools: dict[tuple[str, int], tuple[set[int], float]] = {}
        for turn in self._turns:
            for name, sums in turn.endpoints.items():
                merged.setdefault(name, _Sums()).merge(sums)
            for (pool, size, process), ns in turn.pools.items():
                processes, so_far = pools.get((pool, size), (set(), 0.0))
                pools[pool, size] = (processes | {process}, so_far + ns)
        covered_s = self._covered_s()
        told = [_endpoint(name, sums) for name, sums in merged.items()]
        used = [
            Pool(name, size, len(processes), ns / 1e9 / covered_s if covered_s else 0.0)
            for (name, size), (processes, ns) in pools.items()
        ]
        return View(
            covered_s,
            tuple(sorted(told, key=lambda one: (-one.wall_ns, one.name))),
            tuple(sorted(used, key=lambda one: (-one.busy, one.name)))[:_MOST_POOLS],
            sum(turn.incomplete for turn in self._turns),
        )

    def _covered_s(self) -> float:
        return sum(turn.seconds for turn in self._turns)


def _endpoint(name: str, sums: _Sums) -> Endpoint:
    return Endpoint(
        name, sums.requests, sums.traced, *_quantiles_ns(sums.walls), _quantiles_ns(sums.handlers),
        _largest_first(sums.by_cause), _largest_first(sums.culprits), sums.worst,
    )  # fmt: skip


def _add(into: dict[_Key, float], more: Mapping[_Key, float]) -> None:
    for key, amount in more.items():
        into[key] = into.get(key, 0.0) + amount


def _largest_first(amounts: Mapping[_Key, float]) -> dict[_Key, float]:
    return dict(sorted(amounts.items(), key=lambda one: -one[1]))


def _bucket(ns: int) -> int:
    return int(log2(max(ns, 1)) * _PER_OCTAVE)
