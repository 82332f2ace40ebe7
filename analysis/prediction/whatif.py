"""Predicts what a change brings: the replay of the change against the replay of what was recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log, sqrt
from statistics import fmean, pstdev
from typing import Any, Final

import numpy as np

from whywait.analysis.errors import InputError
from whywait.analysis.model import Analysis
from whywait.analysis.prediction.calibration import calibrated, drawn, felt, figures_of, load_of, with_rivals
from whywait.analysis.prediction.changes import Change, changed
from whywait.analysis.prediction.programs import Load, Program, Resources
from whywait.analysis.prediction.recorded import recorded
from whywait.analysis.prediction.replay import replay

FEWEST: Final = 30  # requests
LARGEST_FOREIGN: Final = 0.1  # of all time: waited for work of other requests, such as a batcher's
DRAWS: Final = 8
<<<<<<< HEAD
PER_CLIENT: Final = 12
FLOOR: Final = 0.06  # of each figure: no interval is narrower
SMALL_NS: Final = 300_000.0  # waited for the GIL by one request: not told from none
=======
FLOORS: Final = (0.1, 0.18, 0.08)  # of p50, p95 and throughput: no interval is narrower
>>>>>>> whatif
_Z: Final = 1.96


@dataclass(frozen=True, slots=True)
class Range:
    """A figure with its 95% confidence interval."""

    before: float  # as recorded
    after: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What clients would feel, ns, and requests per second; `miss`: how far the unchanged replay was from the recording."""

    p50: Range
    p95: Range
    throughput: Range
    requests: int
    clients: int | None  # None: an open load
    miss: float

    def as_json(self) -> dict[str, Any]:
        """Return the figures for JSON: times in ns, throughput in requests/s."""
        one = {name: {part: getattr(value, part) for part in Range.__slots__} for name, value in self._ranges().items()}
        return {**one, "requests": self.requests, "clients": self.clients, "miss": self.miss}

    def _ranges(self) -> Mapping[str, Range]:
        return {"felt_p50_ns": self.p50, "felt_p95_ns": self.p95, "requests_per_s": self.throughput}


def whatif(
    analysis: Analysis, *, pools: Mapping[str, int] | None = None, workers: int = 1, without: Sequence[str] = (),
    faster: Mapping[str, float] | None = None, together: Sequence[str] = (), clients: int | None = None, rate: float | None = None,
) -> Prediction:  # fmt: skip
    """Return what this change would bring: `pools` sizes by name, `workers` times as many processes, `without` causes or
    functions, `faster` functions by how many times, functions awaited `together`, another number of closed-loop `clients`, or `rate` requests/s.
    Raises InputError where the recording cannot tell."""
    change = Change(pools or {}, workers, tuple(without), faster or {}, tuple(together), clients, rate)
    _check(change)
    found = recorded(analysis)
    if len(found.programs) < FEWEST:
        raise InputError(f"cannot predict from {len(found.programs)} requests: record at least {FEWEST}")
    if found.foreign_ns > LARGEST_FOREIGN * sum(found.felt_ns):
        raise InputError(
            "cannot predict: requests wait for work of other requests, such as a batcher's, which a replay does not know"
        )
    figures, load = figures_of(found), load_of(found)
    resources = with_rivals(found, load)
    programs, miss = calibrated(found, resources, load, figures)
    later = replace(
        load, clients=clients or load.clients, rate=rate if rate is not None else None if clients else load.rate
    )
    steps, after = changed(programs, resources, found, change)
    ratios = np.array([_ratios((programs, resources, load), (steps, after, later), draw) for draw in range(DRAWS)])
    spread = [_range(*one, miss) for one in zip(figures, ratios.T, FLOORS, strict=True)]
    if spread[1].after < spread[0].after:  # each was scaled by its own ratio
        low = spread[0]
        spread[1] = Range(spread[1].before, low.after, low.low, max(low.high, spread[1].high))
    if rate is not None and spread[2].after < 0.95 * rate:
        raise InputError(
            f"{rate:g} requests/s are more than it could serve: about {spread[2].after:.3g}/s. The queue would grow without end"
        )
    at_once = None if later.rate is not None else later.clients
    return Prediction(spread[0], spread[1], spread[2], len(found.programs), at_once, miss)


def _check(change: Change) -> None:
    numbers = [*change.pools.values(), change.workers, *change.faster.values(), change.clients or 1, change.rate or 1]
    if not all(0 < number < inf for number in numbers) or (change.rate is not None and change.clients is not None):
        raise InputError("expected numbers over 0, and either clients or a rate")
    if change == Change():
        raise InputError(
            "nothing to predict: name a change, such as --pool default=16, --faster FUNCTION=2x or --clients 32"
        )


<<<<<<< HEAD
def _figures(found: Recording) -> tuple[float, float, float]:
    """The recorded p50, p95 and throughput."""
    return (*_p50_and_p95(found.felt_ns), len(found.felt_ns) * 1e9 / _window(found))


def _window(found: Recording) -> float:
    ends = [start + felt for start, felt in zip(found.starts_ns, found.felt_ns, strict=True)]
    return float(max(ends) - min(found.starts_ns)) or 1.0


def _p50_and_p95(felt_ns: Sequence[float]) -> tuple[float, float]:
    p50, p95 = percentiles(np.array(felt_ns, dtype=np.float64), np.ones(len(felt_ns)), (50, 95)).tolist()
    return p50, p95


def _load(found: Recording) -> Load:
    """Closed where the number of requests in the system hardly changes, else open at the recorded rate."""
    window, total = _window(found), sum(found.felt_ns)
    moments = sorted([(start, 1) for start in found.starts_ns]
                     + [(start + felt, -1) for start, felt in zip(found.starts_ns, found.felt_ns, strict=True)])  # fmt: skip
    inside = np.cumsum([change for _, change in moments])
    most = int(np.quantile(inside, 0.98))
    mean = total / window
    if mean < 0.7 * most:
        return Load(rate=len(found.felt_ns) * 1e9 / window)
    return Load(most, max(0.0, (most - mean) * window / len(found.felt_ns)))


def _calibrated(
    found: Recording, resources: Resources, load: Load, figures: tuple[float, float, float]
) -> tuple[list[Program], float]:
    """Return the programs, with or without the GIL in jobs, and how far their unchanged replay is from the recording.

    Jobs of Python make others wait for the GIL: the variant whose waits for it are nearer to those that were sampled."""

    def free(step: Step) -> Step:
        return step._replace(gil=False) if isinstance(step, Run) and step.job else step

    tried = []
    for programs in (found.programs, mapped(found.programs, free)):
        run = replay(_drawn(programs, load, 0), resources, load)
        now = _of(run)
        miss = max(abs(log(now[at] / figures[at])) for at in (0, 2))
        tried.append((miss if found.gil_wait_ns is None else _gil_miss(run, found), miss, now, programs))
    _, miss, now, best = min(tried, key=lambda one: one[0])
    import os
    if os.environ.get("WI"): print("   ", [round(x/1e6,2) for x in now[:2]], round(now[2],1), "rec", [round(x/1e6,2) for x in figures[:2]], round(figures[2],1), load, best is found.programs, [round(t[0],2) for t in tried])
    if miss > LARGEST_MISS:
        raise InputError(
            f"cannot predict: the replay of the recording itself is {100 * (exp(miss) - 1):.0f}% off. The requests wait for "
            "something that the recording does not show; see whywait report for what is unexplained"
        )
    return list(best), miss


def _gil_miss(run: Replayed, found: Recording) -> float:
    recorded_ns = (found.gil_wait_ns or 0.0) / len(found.programs)
    return abs(log((run.gil_wait_ns + SMALL_NS) / (recorded_ns + SMALL_NS)))


def _drawn(programs: Sequence[Program], load: Load, draw: int) -> list[Program]:
    count = max(300, PER_CLIENT * (load.clients if load.rate is None else 1))
    return Random(draw).choices(programs, k=count)


=======
>>>>>>> whatif
def _ratios(
    before: tuple[Sequence[Program], Resources, Load], after: tuple[Sequence[Program], Resources, Load], draw: int
) -> tuple[float, ...]:
    first, second = (
        felt(replay(drawn(steps, load, draw), has, load, seed=draw)) for steps, has, load in (before, after)
    )
    return tuple(new / old for new, old in zip(second, first, strict=True))


def _range(recorded_value: float, ratios: Any, floor: float, miss: float) -> Range:
    logs = [log(one) for one in ratios]
    middle = fmean(logs)
    # what the replay misses unchanged, it may miss again where the change moves the queue elsewhere
    width = sqrt((_Z * pstdev(logs)) ** 2 + miss**2 + floor**2 + (0.2 * middle) ** 2)
    after = recorded_value * exp(middle)
    return Range(recorded_value, after, after * exp(-width), after * exp(width))
