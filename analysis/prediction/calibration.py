"""Fits a replay to its recording: load, rivals for the CPUs, the GIL in jobs, and what else was waited in queues."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import exp, isfinite, log, sqrt
from random import Random
from statistics import fmean
from typing import Final

import numpy as np

from whywait.analysis.errors import InputError
from whywait.analysis.measure.weights import Floats, percentiles
from whywait.analysis.prediction.changes import mapped
from whywait.analysis.prediction.holds import Recording
from whywait.analysis.prediction.programs import Load, Pause, Program, Replayed, Resources, Run, Step
from whywait.analysis.prediction.replay import replay

LARGEST_MISS: Final = 0.35  # of the unchanged replay against what was recorded: beyond it nothing is predicted
MOST_RIVALS: Final = 8.0  # threads of others that are runnable, on average
HALVINGS: Final = 5
MOST_MORE: Final = 0.25  # of computing, that a recording does not show
USUAL: Final = (0.05, 0.9)  # shares of the time: before the first and after the last, and where requests overlap
CLOSED: Final = 0.7  # of the clients are inside, on average, or the load is taken for open
SELDOM: Final = 0.1  # of the time: more may be inside where a response's end and its client's next request overlap
AT_ONCE: Final = 0.5  # of the time between two requests: no pause
PER_CLIENT: Final = 12
FEWEST_NEXT: Final = 15  # requests that follow another of their client
SMALL_NS: Final = 300_000.0  # waited for the GIL by one request: not told from none


def figures_of(found: Recording) -> tuple[float, float, float]:
    """The recorded p50, p95 and throughput."""
    return (*_p50_and_p95(found.felt_ns), len(found.felt_ns) * 1e9 / _window(found))


def _window(found: Recording) -> float:
    ends = [start + felt for start, felt in zip(found.starts_ns, found.felt_ns, strict=True)]
    return float(max(ends) - min(found.starts_ns)) or 1.0


def _p50_and_p95(felt_ns: Sequence[float]) -> tuple[float, float]:
    p50, p95 = percentiles(np.array(felt_ns, dtype=np.float64), np.ones(len(felt_ns)), (50, 95)).tolist()
    return p50, p95


def load_of(found: Recording) -> Load:
    """Closed where the number of requests in the system hardly changes, else open at the recorded rate.

    Each client is inside with the same chance: mean and variance of how many are tell the chance, and so the clients; where
    that chance is high all of them are inside at some moment."""
    window = _window(found)
    moments = sorted([(start, 1) for start in found.starts_ns]
                     + [(start + felt, -1) for start, felt in zip(found.starts_ns, found.felt_ns, strict=True)])  # fmt: skip
    inside = np.cumsum([change for _, change in moments])
    lasted = np.diff([moment for moment, _ in moments], append=moments[-1][0])
    order = np.argsort(inside)  # by how long so many were inside: a response's end and its client's next overlap
    low, high = inside[order][np.searchsorted(np.cumsum(lasted[order]), np.array(USUAL) * lasted.sum())]
    usual = np.clip(inside, low, high)
    mean = float(np.average(usual, weights=lasted))
    chance = 1 - float(np.average((usual - mean) ** 2, weights=lasted)) / max(1e-9, mean)
    seldom = int(inside[order][np.searchsorted(np.cumsum(lasted[order]), (1 - SELDOM) * lasted.sum())])
    if chance < CLOSED:
        return _few_each(found, int(inside.max()), seldom) or Load(rate=len(found.felt_ns) * 1e9 / window)
    clients, think_ns = _thinking(found, max(1, min(round(mean / chance), int(inside.max()))), seldom)
    return Load(clients, float(think_ns.clip(min=0).mean()) if len(think_ns) else 0.0)


def _few_each(found: Recording, most: int, seldom: int) -> Load | None:
    """Where each of so many clients sent only a few requests, the last pass while none comes: closed, if each request but
    the first of each client soon follows the end of an earlier one."""
    (clients, think_ns), felt_ns = _thinking(found, most, seldom), fmean(found.felt_ns)
    think_ns = think_ns.clip(min=0)
    if len(think_ns) < FEWEST_NEXT or felt_ns < CLOSED * (felt_ns + think_ns.mean()):
        return None
    return Load(clients, float(think_ns.mean()))


def _thinking(found: Recording, most: int, seldom: int) -> tuple[int, Floats]:
    """How many clients there are, and how long passed from the end of one's request to the start of its next: as many, or
    one less where so many are inside no longer than requests of one client overlap, and each then begins at once."""
    starts = np.sort(found.starts_ns).astype(np.float64)
    ends = np.sort(np.add(found.starts_ns, found.felt_ns))
    for clients in (most - 1, most) if 1 < most > seldom else (most,):
        think_ns = starts[clients:] - ends[: len(ends) - clients]
        if len(think_ns) and abs(think_ns.mean()) < AT_ONCE * fmean(found.felt_ns) / clients:
            break
    return clients, think_ns


def _halved(high: float, too_much: Callable[[float], bool]) -> float:
    """Return the figure between 0 and `high` from which on it is too much."""
    low = 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if too_much(middle) else (middle, high)
    return low


def with_rivals(found: Recording, load: Load) -> Resources:
    """Return the resources, with so many threads of others on the CPUs that requests wait for one as they did."""
    resources, programs = Resources(found.limits, found.cpus), queued(found.programs, 0.0)
    if not isfinite(found.cpus):
        return resources

    def too_much(root: float) -> bool:  # few rivals matter most
        run = _again(programs, replace(resources, rivals=root**2), load)
        # threads that wait for the GIL queue for a CPU, too, whenever they ask for it: that makes nobody slower
        return run.cpu_wait_share > found.cpu_wait_share or fmean(run.felt_ns) > fmean(found.felt_ns)

    return replace(resources, rivals=_halved(sqrt(MOST_RIVALS), too_much) ** 2)


def queued(programs: Sequence[Program], share: float) -> list[Program]:
    """Return the programs with this share of what they waited for the GIL, CPUs and the loop; the rest arises again."""

    def one(step: Step) -> Step | None:
        if not isinstance(step, Pause) or not step.queued:
            return step
        return step._replace(ns=step.ns * share) if share else None

    return mapped(programs, one)


def _computing_more(programs: Sequence[Program], more: float) -> list[Program]:
    """Return the programs without what they waited in queues, and with so much more computing, of what they have."""

    def one(step: Step) -> Step:
        return step._replace(ns=step.ns * (1 + more)) if isinstance(step, Run) else step

    return mapped(queued(programs, 0.0), one)


def calibrated(
    found: Recording, resources: Resources, load: Load, figures: tuple[float, float, float]
) -> tuple[list[Program], float]:
    """Return the programs, with or without the GIL in jobs, and how far their unchanged replay is from the recording.

    Jobs of Python make others wait for the GIL: the variant whose waits for it are nearer to those that were sampled.
    Requests compute so much more, where that can make the replay take as long as the recording: the GIL passes from thread
    to thread, and a server computes between requests. Else so much stays of what was waited in queues."""
    programs, mean_ns = _with_the_gil(found, resources, load), fmean(found.felt_ns)

    def fitted(most: float, one: Callable[[Sequence[Program], float], list[Program]]) -> list[Program] | None:
        def too_much(amount: float) -> bool:
            return fmean(_again(one(programs, amount), resources, load).felt_ns) > mean_ns

        return one(programs, _halved(most, too_much)) if too_much(most) else None

    programs = fitted(MOST_MORE, _computing_more) or fitted(1.0, queued) or queued(programs, 1.0)
    now = felt(replay(drawn(programs, load, 0), resources, load))
    miss = max(abs(log(now[at] / figures[at])) for at in (0, 2))
    if miss > LARGEST_MISS:
        raise InputError(
            f"cannot predict: the replay of the recording itself is {100 * (exp(miss) - 1):.0f}% off. The requests wait for "
            "something that a replay does not know, such as work of no request; see whywait report for what they wait for"
        )
    return programs, miss


def _with_the_gil(found: Recording, resources: Resources, load: Load) -> Sequence[Program]:
    """Return the programs with the GIL in jobs, or without it: Python in jobs makes others wait, as it was sampled."""

    def free(step: Step) -> Step:
        return step._replace(gil=False) if isinstance(step, Run) and step.job else step

    if found.gil_wait_ns is None:
        return found.programs
    tried = found.programs, mapped(found.programs, free)
    return min(tried, key=lambda one: _gil_miss(_again(queued(one, 0.0), resources, load), found))


def _gil_miss(run: Replayed, found: Recording) -> float:
    recorded_ns = (found.gil_wait_ns or 0.0) / len(found.programs)
    return abs(log((run.gil_wait_ns + SMALL_NS) / (recorded_ns + SMALL_NS)))


def _again(programs: Sequence[Program], resources: Resources, load: Load) -> Replayed:
    """Replays what was recorded: a few requests with their beginning and end, of which they are a large part; of many, some."""
    if len(programs) < _enough(load):
        return replay(programs, resources, load, whole=True)
    return replay(drawn(programs, load, 0), resources, load)


def _enough(load: Load) -> int:
    return max(300, PER_CLIENT * (load.clients if load.rate is None else 1))


def drawn(programs: Sequence[Program], load: Load, draw: int) -> list[Program]:
    return Random(draw).choices(programs, k=_enough(load))


def felt(run: Replayed) -> tuple[float, float, float]:
    p50, p95 = _p50_and_p95(run.felt_ns)
    return max(1.0, p50), max(1.0, p95), max(1e-9, run.throughput)
