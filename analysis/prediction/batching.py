"""What one call for all items of a request would cost: a line through the jobs that had different numbers of items."""

from collections.abc import Callable, Collection, Sequence
from statistics import median
from typing import Final, NamedTuple, TypeGuard

import numpy as np

from whywait.analysis.errors import InputError
from whywait.analysis.measure.weights import Floats
from whywait.analysis.prediction.programs import Collect, Join, Pause, Program, Run, Start, Step, Steps

FEWEST: Final = 30  # jobs
MOST_BEYOND: Final = 4  # times the most items that a recorded job had: further the line is a guess
LARGEST_ERROR: Final = 0.2  # standard error of the predicted cost, of that cost
ENOUGH: Final = 5  # jobs of one number of items, which tell how much these vary
OF_MEDIAN: Final = 1.2533  # the standard error of a median, to that of a mean
EXACT: Final = 0.005  # of a job's length: no median is known better
HANDING_NS: Final = 300_000  # computed by a task that does no more than hand a job over and take its result


class Cost(NamedTuple):
    """What a call takes: `call_ns` plus `item_ns` per item, without any queue."""

    call_ns: float
    item_ns: float
    most: int  # items of one call up to which the jobs tell it

    def of(self, items: int) -> float:
        return self.call_ns + self.item_ns * items


class Batch(NamedTuple):
    """Jobs of `function` become calls of `call`, the same function or one that takes several items at once."""

    function: str
    call: str

    @classmethod
    def of(cls, said: str) -> "Batch":
        """Read "function", or "function=call"."""
        function, _, call = said.partition("=")
        return cls(function, call or function)


def cost_of(programs: Sequence[Program], said: str, others: Sequence[Program] = (), *, alone: bool = False) -> Cost:
    """Return what a job of this function takes, per call and per item, up to the most items that a request has; of "F=G"
    the jobs of both tell it, and those of `others`, which ran apart from these requests; `alone`: where no two run at
    once, these alone if they tell it. Raises InputError where its jobs cannot tell."""
    function, call = Batch.of(said)
    names = tuple(dict.fromkeys((function, call)))
    for name in names:
        if not _took([*programs, *others], (name,)):
            known = sorted({name for one in [*programs, *others] for name, _ in one.jobs} - {""})
            raise InputError(f"no job {name!r} in this recording; it has: {', '.join(known) or 'none'}")
    own, apart = _took(programs, names), _took(others, names)
    if alone and len(apart) >= FEWEST and len({items for items, _ in apart}) > 1:
        own = []
    times = _times(own, apart)
    jobs = [*own, *((items, ns * times) for items, ns in apart)]
    sizes, took = np.array([one for one in jobs if one[0]], dtype=float).reshape(-1, 2).T
    if len(sizes) < max(FEWEST, len(jobs)):
        raise InputError(
            f"cannot tell what one call of {function!r} for all items costs: {len(sizes):,} of its {len(jobs):,} jobs say how "
            f'many they had, and all must, at least {FEWEST}. Set "rows" on a span of yours within the job'
        )
    if sizes.min() == sizes.max():
        raise InputError(
            f"cannot tell what one call of {function!r} for all items costs: each of its jobs had {sizes[0]:.0f} of them. "
            "Record it with different numbers of items per job"
        )
    (item_ns, call_ns), covariance = _line(sizes, took)
    most = most_items([*programs, *others], function)

    def told(items: int) -> bool:
        at = np.array([items, 1.0])
        return bool((at @ covariance @ at) ** 0.5 <= LARGEST_ERROR * (call_ns + item_ns * items))

    if not told(most):
        raise InputError(
            f"cannot tell what one call of {function!r} for {most} items costs: jobs of {sizes.min():.0f} to {sizes.max():.0f} "
            "items do not tell it well enough. Record more of them, with more different numbers"
        )
    furthest = max(most, next(filter(told, range(int(sizes.max()) * MOST_BEYOND, most, -1)), most))
    if item_ns < 0:  # the line would make an item, or a call, cheaper than nothing
        return Cost(float(took.mean()), 0.0, furthest)
    if call_ns < 0:
        return Cost(0.0, float((took @ sizes) / (sizes @ sizes)), furthest)
    return Cost(float(call_ns), float(item_ns), furthest)


def _took(programs: Sequence[Program], functions: Sequence[str]) -> list[tuple[int, float]]:
    """Items and length of each job of these functions."""
    return [
        (items, _length(steps)) for one in programs for name in functions for steps, items in _jobs(one, name).values()
    ]


def _times(own: Sequence[tuple[int, float]], apart: Sequence[tuple[int, float]]) -> float:
    """How many times as long jobs of as many items took among these requests: threads that take turns on a CPU find its
    caches cold. 1 where no jobs had as many."""
    both = ({items for items, _ in own} & {items for items, _ in apart}) - {0}
    ratios = [
        median(ns for one, ns in own if one == items) / max(1.0, median(ns for one, ns in apart if one == items))
        for items in both
    ]
    return max(1.0, median(ratios)) if ratios else 1.0


def _line(sizes: Floats, took: Floats) -> tuple[Floats, Floats]:
    """Return the line through the medians of the jobs of each number of items, with its covariance: a few jobs that were
    kept from running by something unseen are not the cost, and jobs of one number may vary more than those of another."""
    spread = _spread(took - np.polyval(np.polyfit(sizes, took, 1), sizes))
    groups = [(size, took[sizes == size]) for size in np.unique(sizes)]
    noise = [(_spread(own - np.median(own)) if len(own) >= ENOUGH else spread) / len(own) ** 0.5 for _, own in groups]
    least_ns = EXACT * float(np.median(took))
    weights = 1 / np.maximum(np.array(noise) * OF_MEDIAN, least_ns)
    line, covariance = np.polyfit(
        [size for size, _ in groups], [np.median(own) for _, own in groups], 1, w=weights, cov="unscaled"
    )
    return line, covariance


def _spread(errors: Floats) -> float:
    """The standard deviation, by the median of the absolute errors."""
    return 1.4826 * float(np.median(np.abs(errors)))


def batched(programs: Sequence[Program], function: str, others: Sequence[Program] = ()) -> list[Program]:
    """Return the programs with each request's jobs of this function made one call, in place of the first; `others`
    tell, too, what a call costs. Raises InputError where no request has several, or the jobs cannot tell that."""
    cost = cost_of(programs, function, others)
    function = Batch.of(function).function
    if not several(programs, function):
        raise InputError(f"nothing to batch: no request has more than one job of {function!r}")
    return one_call_each(programs, function, cost)


def one_call_each(programs: Sequence[Program], function: str, cost: Cost) -> list[Program]:
    """Return the programs with each request's jobs of this function made one call of this cost."""
    shape = _shape(programs, function)
    return [_one_call(one, function, cost, shape) for one in programs]


def most_items(programs: Sequence[Program], function: str) -> int:
    """Return the most items that the jobs of one request have."""
    return max(sum(items for _, items in _jobs(one, function).values()) for one in programs)


def several(programs: Sequence[Program], function: str) -> bool:
    """Return whether a request has more than one job of this function."""
    return any(len(_jobs(one, function)) > 1 for one in programs)


def collecting(programs: Sequence[Program], function: str) -> list[Program]:
    """Return the programs with each request's jobs of this function handed to a batcher, in place of the first."""

    def one(program: Program) -> Program:
        jobs, steps = _jobs(program, function), list(program.activities)
        collect = Collect(function, sum(items for _, items in jobs.values()))
        for job in jobs:
            steps[job] = (collect,) if job == min(jobs) else ()
        return program._replace(activities=tuple(steps))

    return [one(program) for program in programs]


def call_of(programs: Sequence[Program], function: str, cost: Cost) -> Callable[[int], Program]:
    """Return what makes a program of one call for so many items, shaped like the recorded jobs."""
    shape = _shape(programs, function)

    def call(items: int) -> Program:
        factor = cost.of(items) / max(1.0, _length(shape))
        return Program((tuple(_scaled(step, factor) for step in shape),))

    return call


def _shape(programs: Sequence[Program], function: str) -> Steps:
    """The job of median length, which computes and waits as much as its like on average: one alone may be what a collection
    or something unseen made of it."""
    jobs = sorted((steps for one in programs for steps, _ in _jobs(one, function).values()), key=_length)
    if not jobs:  # those of other endpoints tell what one costs
        raise InputError(f"nothing to batch: no request has a job of {function!r}")
    steps = jobs[len(jobs) // 2]
    for kind in (Run, Pause):
        own, *others = ([one for one in job if isinstance(one, kind) and _counts(one)] for job in (steps, *jobs))
        own_ns, usual_ns = sum(one.ns for one in own), sum(one.ns for some in others for one in some) / len(jobs)
        if own_ns:
            steps = tuple(_scaled(one, usual_ns / own_ns) if isinstance(one, kind) else one for one in steps)
        elif usual_ns:
            longest = max((one for some in others for one in some), key=lambda one: one.ns)
            steps = (steps[0], longest._replace(ns=usual_ns), *steps[1:])
    return steps


def _one_call(program: Program, function: str, cost: Cost, shape: Steps) -> Program:
    jobs = _jobs(program, function)
    if len(jobs) < 2:
        return program
    items = sum(items for _, items in jobs.values())
    first = min(jobs)
    factor = cost.of(items) / max(1.0, _length(shape))
    steps = list(program.activities)
    for job in jobs:
        steps[job] = tuple(_scaled(step, factor) for step in shape) if job == first else ()
    return program._replace(activities=_without_handing(steps, jobs))


def _without_handing(activities: Sequence[Steps], jobs: Collection[int]) -> tuple[Steps, ...]:
    """Return the activities without the tasks that did no more than hand over one of these jobs, but the first's."""
    gone = {job for job in jobs if job != min(jobs)}

    def hands_over(steps: Steps) -> bool:
        named = [one for step in steps for one in _named(step)]
        return bool(named) and gone.issuperset(named) and _computed_ns(steps) < HANDING_NS

    return (activities[0], *(() if hands_over(steps) else steps for steps in activities[1:]))


def _named(step: Step) -> tuple[int, ...]:
    """The activities that it starts or joins."""
    if isinstance(step, Start):
        return (step.activity,)
    return step.activities if isinstance(step, Join) else ()


def _computed_ns(steps: Steps) -> float:
    return sum(step.ns for step in steps if isinstance(step, Run))


def _scaled(step: Step, factor: float) -> Step:
    return step._replace(ns=step.ns * factor) if _counts(step) else step


def _jobs(program: Program, function: str) -> dict[int, tuple[Steps, int]]:
    """The jobs of this function that start nothing themselves, by activity."""
    return {
        at: (steps, items)
        for at, (steps, (name, items)) in enumerate(zip(program.activities, program.jobs, strict=False))
        if name == function and not any(isinstance(step, Start) for step in steps)
    }


def _length(steps: Steps) -> float:
    return sum(step.ns for step in steps if _counts(step))


def _counts(step: Step) -> TypeGuard[Run | Pause]:
    return isinstance(step, Run) or (isinstance(step, Pause) and not step.queued)
