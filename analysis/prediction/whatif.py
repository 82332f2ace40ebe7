"""Predicts what a change brings: the replay of the change against the replay of what was recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import exp, inf, log, sqrt
from statistics import fmean, pstdev
from typing import Any, Final

import numpy as np

from whywait.analysis.errors import InputError
from whywait.analysis.model import Analysis
from whywait.analysis.prediction.calibration import calibrated, drawn, felt, figures_of, load_of, queued, with_rivals
from whywait.analysis.prediction.changes import Change, changed
from whywait.analysis.prediction.holds import Recording
from whywait.analysis.prediction.micro_batches import Way, way, ways
from whywait.analysis.prediction.programs import Load, Pause, Program, Resources, Run
from whywait.analysis.prediction.recorded import recorded
from whywait.analysis.prediction.replay import replay
from whywait.analysis.text import counted

FEWEST: Final = 30  # requests
LARGEST_FOREIGN: Final = 0.1  # of all time: waited for work of other requests, such as a batcher's
DRAWS: Final = 8
ALIKE: Final = 0.03  # throughputs that differ by less
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
    batching: "Batching | None" = None  # the batcher, where one was asked for

    def as_json(self) -> dict[str, Any]:
        """Return the figures for JSON: times in ns, throughput in requests/s."""
        one = {name: {part: getattr(value, part) for part in Range.__slots__} for name, value in self._ranges().items()}
        found = {**one, "requests": self.requests, "clients": self.clients, "miss": self.miss}
        return found if self.batching is None else {**found, "batching": asdict(self.batching)}

    def _ranges(self) -> Mapping[str, Range]:
        return {"felt_p50_ns": self.p50, "felt_p95_ns": self.p95, "requests_per_s": self.throughput}


@dataclass(frozen=True, slots=True)
class Batching:
    """How to make one call of several, and what a call takes, without any queue."""

    call_ns: Mapping[str, float]  # by function: what a call takes
    item_ns: Mapping[str, float]  # and each of its items
    window_ns: float | None  # a batcher waits so long for items of several requests; None: one call for each request
    size: int  # unless it has so many
    keeps: bool | None  # p95 under the bound, with all of its interval; else this is the lowest p95; None: no bound


def whatif(
    analysis: Analysis, *, pools: Mapping[str, int] | None = None, workers: int = 1, without: Sequence[str] = (),
    faster: Mapping[str, float] | None = None, together: Sequence[str] = (), batch: Sequence[str] = (), p95_under_ns: float | None = None, clients: int | None = None, rate: float | None = None,
    switch_interval_ns: float | None = None, shared: Mapping[str, int] | None = None, released: Sequence[str] = (),
    window_ns: float | None = None, size: int | None = None,
) -> Prediction:  # fmt: skip
    """Return what this change would bring: `pools` sizes by name, `shared` pools in place of each request's own, `workers`
    times as many processes, `without` causes or functions, `faster` functions by how many times, functions awaited
    `together`, connections and locks `released` before functions, jobs of functions made one call (`batch`: F, or F=G for calls of G), another number of closed-loop
    `clients`, or `rate` requests/s, another `sys.setswitchinterval`. With `window_ns` (and `size`) a batcher waits so long for items of several requests (or for so many); with
    `p95_under_ns` it looks for the window and size that bring most requests/s and keep the felt p95 under it.
    Raises InputError where the recording cannot tell."""
    change = Change(
        pools=pools or {}, shared=shared or {}, workers=workers, without=tuple(without), faster=faster or {},
        together=tuple(together), batch=tuple(batch), released=tuple(released), clients=clients, rate=rate,
        switch_interval_ns=switch_interval_ns,
    )  # fmt: skip
    asked = [one for one in (p95_under_ns, window_ns) if one is not None]
    fits = batch and len(asked) == 1 and asked[0] >= 0 and p95_under_ns != 0 and (size is None or size > 0)
    if (asked or size is not None) and not fits:
        raise InputError(
            "expected functions whose jobs are to be batched, and either a p95 over 0 or a window (with a size)"
        )
    _check(change)
    return predicted(baseline(analysis), change, p95_under_ns, None if window_ns is None else (window_ns, size))


@dataclass(frozen=True, slots=True)
class Baseline:
    """A recording and its replay without any change, with which each prediction is compared."""

    found: Recording
    figures: Any
    load: Load
    resources: Resources
    programs: Sequence[Program]
    miss: float
    felt: Sequence[Any]  # figures of each draw


def baseline(analysis: Analysis) -> Baseline:
    """Return the replay of what was recorded. Raises InputError where that cannot be replayed."""
    found = recorded(analysis)
    if len(found.programs) < FEWEST:
        raise InputError(f"cannot predict from {counted(len(found.programs), 'request')}: record at least {FEWEST}")
    if found.foreign_ns > LARGEST_FOREIGN * sum(found.felt_ns):
        raise InputError(
            "cannot predict: requests wait for work of other requests, such as a batcher's, which a replay does not know"
        )
    figures, load = figures_of(found), load_of(found)
    resources = with_rivals(found, load)
    programs, miss = calibrated(found, resources, load, figures)
    before = [felt(replay(drawn(programs, load, draw), resources, load, seed=draw)) for draw in range(DRAWS)]
    return Baseline(found, figures, load, resources, programs, miss, before)


def predicted(
    base: Baseline, change: Change, p95_under_ns: float | None = None, batcher: tuple[float, int | None] | None = None,
    draws: int = DRAWS,
) -> Prediction:  # fmt: skip
    """Return what a change would bring, as `whatif` does, from so many replays. Raises InputError where the recording
    cannot tell."""
    found, figures, load, resources, programs, miss, before = (getattr(base, name) for name in Baseline.__slots__)
    clients, rate = change.clients, change.rate
    later = replace(
        load, clients=clients or load.clients, rate=rate if rate is not None else None if clients else load.rate
    )
    # what computes around the waits of a function may be the function's or its caller's: both
    plain = change if p95_under_ns is None and batcher is None else replace(change, batch=())
    both = [
        changed(programs, resources, found, plain, near=near) for near in (False, True)[: 1 + _near(programs, change)]
    ]

    def ratios(made: Sequence[tuple[Way, Resources]], share: float, draws: int) -> Any:
        return np.array([
            np.divide(replace(way, programs=queued(way.programs, share)).felt(has, later, draw), before[draw])
            for way, has in made for draw in range(draws)
        ])  # fmt: skip

    def spread_of(made: Sequence[tuple[Way, Resources]], draws: int = draws) -> list[Range]:
        # a queue that the replay does not make stays, as where nothing changes; the interval covers that it passes
        as_now = ratios(made, 1.0, draws)
        passed = ratios(made, 0.0, draws) if _queues(programs) else as_now
        return _in_order([_range(*one, miss) for one in zip(figures, as_now.T, passed.T, FLOORS, strict=True)])

    made = [(Way(steps), has) for steps, has in both]
    ((steps, has), *_) = both
    if batcher is not None:
        at_once = None if later.rate is not None else later.clients
        made = [(way(steps, found.programs, change.batch, *batcher, at_once, found.others), has)]
    elif p95_under_ns is not None:
        tried = ways(steps, found.programs, change.batch, found.others)
        made = [(min(tried, key=lambda one: _rank(spread_of([(one, has)], 1), p95_under_ns)), has)]
    elif len(both) > 1:
        _check_near(ratios(made, 1.0, draws), figures[0])
    ((chosen, _), *_) = made
    spread = spread_of(made)
    # all of the interval: a replay's own rate varies, as that of a few hundred random arrivals does
    if rate is not None and spread[2].high < rate:
        raise InputError(
            f"{rate:g} requests/s are more than it could serve: about {spread[2].after:.3g}/s. The queue would grow without end"
        )
    at_once = None if later.rate is not None else later.clients
    keeps = None if p95_under_ns is None else spread[1].high <= p95_under_ns
    batching = _batching(chosen, keeps) if chosen.costs else None
    return Prediction(spread[0], spread[1], spread[2], len(found.programs), at_once, miss, batching)


def _rank(spread: Sequence[Range], p95_under_ns: float) -> tuple[float, ...]:
    """What keeps p95 under the bound comes first, of it what serves most, of that what takes least time."""
    _, p95, throughput = spread
    return (0.0, -round(log(throughput.after) / ALIKE), p95.after) if p95.high <= p95_under_ns else (1.0, p95.high, 0.0)


def _batching(way: Way, keeps: bool | None) -> Batching:
    call, item = ({name: one[at] for name, one in way.costs.items()} for at in (0, 1))
    window_ns, size = (None, 0) if way.policy is None else way.policy
    return Batching(call, item, window_ns, size, keeps)


def _check(change: Change) -> None:
    numbers = [*change.pools.values(), *change.shared.values(), change.workers, *change.faster.values(), change.clients or 1, change.rate or 1,
               change.switch_interval_ns or 1]  # fmt: skip
    if not all(0 < number < inf for number in numbers) or (change.rate is not None and change.clients is not None):
        raise InputError("expected numbers over 0, and either clients or a rate")
    if change == Change():
        raise InputError(
            "nothing to predict: name a change, such as --pool default=16, --faster FUNCTION=2x or --clients 32"
        )


def _queues(programs: Sequence[Program]) -> bool:
    """Whether something stays of what was waited in queues."""
    return any(
        isinstance(step, Pause) and step.queued for one in programs for steps in one.activities for step in steps
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


def _in_order(spread: list[Range]) -> list[Range]:
    """Each was scaled by its own ratio: p95 is no less than p50."""
    p50, p95, throughput = spread
    if p95.after >= p50.after:
        return spread
    return [p50, Range(p95.before, p50.after, p50.low, max(p50.high, p95.high)), throughput]


def _range(recorded_value: float, as_now: Any, passed: Any, floor: float, miss: float) -> Range:
    ends = []
    for ratios in (as_now, passed):
        logs = [log(one) for one in ratios]
        middle = log(recorded_value) + fmean(logs)
        # what the replay misses unchanged, it may miss again where the change moves the queue elsewhere
        width = sqrt((_Z * pstdev(logs)) ** 2 + miss**2 + floor**2 + (0.2 * fmean(logs)) ** 2)
        ends += [middle - width, middle, middle + width]
    return Range(recorded_value, exp(ends[1]), exp(min(ends)), exp(max(ends)))
