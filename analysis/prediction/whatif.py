"""Predicts what a change brings: the replay of the change against the replay of what was recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log, sqrt
from statistics import fmean, pstdev
from typing import Any, Final

import numpy as np

from whywait.analysis.errors import InputError
from whywait.analysis.model import Analysis
from whywait.analysis.prediction.calibration import calibrated, drawn, felt, figures_of, load_of, queued, with_rivals
from whywait.analysis.prediction.changes import Change, changed
from whywait.analysis.prediction.programs import Load, Pause, Program, Resources, Run
from whywait.analysis.prediction.recorded import recorded
from whywait.analysis.prediction.replay import replay

FEWEST: Final = 30  # requests
LARGEST_FOREIGN: Final = 0.1  # of all time: waited for work of other requests, such as a batcher's
DRAWS: Final = 8
FLOORS: Final = (0.1, 0.18, 0.08)  # of p50, p95 and throughput: no interval is narrower
LARGEST_DOUBT: Final = 2.0  # times: of felt p50, by what is counted as the function's own
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
    faster: Mapping[str, float] | None = None, together: Sequence[str] = (), batch: Sequence[str] = (), clients: int | None = None, rate: float | None = None,
) -> Prediction:  # fmt: skip
    """Return what this change would bring: `pools` sizes by name, `workers` times as many processes, `without` causes or
    functions, `faster` functions by how many times, functions awaited `together`, jobs of functions made one call (`batch`), another number of closed-loop `clients`, or `rate` requests/s.
    Raises InputError where the recording cannot tell."""
    change = Change(pools or {}, workers, tuple(without), faster or {}, tuple(together), tuple(batch), clients, rate)
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
    # what computes around the waits of a function may be the function's or its caller's: both
    both = [
        changed(programs, resources, found, change, near=near) for near in (False, True)[: 1 + _near(programs, change)]
    ]
    # a queue that the replay does not make stays, as where nothing changes; the interval covers that it passes
    as_now, passed = (
        np.array([
            _ratios((programs, resources, load), (queued(steps, share), after, later), draw)
            for steps, after in both for draw in range(DRAWS)
        ]) for share in (1.0, 0.0)
    )  # fmt: skip
    if len(both) > 1:
        _check_near(as_now, figures[0])
    spread = [_range(*one, miss) for one in zip(figures, as_now.T, passed.T, FLOORS, strict=True)]
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


def _near(programs: Sequence[Program], change: Change) -> bool:
    return any(
        not set(change.without).isdisjoint(step.near)
        for one in programs for steps in one.activities for step in steps if isinstance(step, Run | Pause)
    )  # fmt: skip


def _check_near(ratios: Any, p50_ns: float) -> None:
    most, least = (p50_ns * exp(np.log(some).mean()) for some in np.split(ratios[:, 0], 2))
    if most > LARGEST_DOUBT * least:
        raise InputError(
            f"cannot predict: felt p50 would be {least / 1e6:.2f} to {most / 1e6:.2f} ms. How much of what was computed before "
            "and after the function's waits is its own, the recording does not tell"
        )


def _ratios(
    before: tuple[Sequence[Program], Resources, Load], after: tuple[Sequence[Program], Resources, Load], draw: int
) -> tuple[float, ...]:
    first, second = (
        felt(replay(drawn(steps, load, draw), has, load, seed=draw)) for steps, has, load in (before, after)
    )
    return tuple(new / old for new, old in zip(second, first, strict=True))


def _range(recorded_value: float, as_now: Any, passed: Any, floor: float, miss: float) -> Range:
    ends = []
    for ratios in (as_now, passed):
        logs = [log(one) for one in ratios]
        middle = log(recorded_value) + fmean(logs)
        # what the replay misses unchanged, it may miss again where the change moves the queue elsewhere
        width = sqrt((_Z * pstdev(logs)) ** 2 + miss**2 + floor**2 + (0.2 * fmean(logs)) ** 2)
        ends += [middle - width, middle, middle + width]
    return Range(recorded_value, exp(ends[1]), exp(min(ends)), exp(max(ends)))
