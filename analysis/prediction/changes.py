"""What a change does to programs and resources."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from whywait.analysis.causes import Cause
from whywait.analysis.errors import InputError
from whywait.analysis.prediction.batching import batched
from whywait.analysis.prediction.holds import Recording
from whywait.analysis.prediction.programs import (
    CONNECTIONS,
    LOCK,
    LOOP,
    OWN,
    POOL,
    Give,
    Key,
    Pause,
    Program,
    Resources,
    Run,
    Step,
    Steps,
    Take,
)
from whywait.tracer import schema

_LOCKS: Final[Mapping[str, tuple[str, ...]]] = {
    Cause.LOCK_WAIT: (LOCK,), Cause.LOGGING_WAIT: (LOCK,), Cause.LIMITER_WAIT: (LOCK,), Cause.CONNECTION_WAIT: (CONNECTIONS,),
    Cause.POOL_QUEUE: (POOL, OWN),
}  # fmt: skip
_PAUSES: Final = (Cause.AWAIT_IO, Cause.BLOCKING_IO, Cause.GC_PAUSE, Cause.POOL_SHUTDOWN, Cause.POOL_STARTUP)
CAUSES: Final = (*_LOCKS, *_PAUSES, Cause.GIL_WAIT, Cause.CPU_WAIT, Cause.LOOP_BUSY)


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be changed; nothing by default."""

    pools: Mapping[str, int] = field(default_factory=dict)
    shared: Mapping[str, int] = field(default_factory=dict)  # pools that each request made: one for all, of this size
    workers: int = 1
    without: tuple[str, ...] = ()
    faster: Mapping[str, float] = field(default_factory=dict)  # by function: how many times
    together: tuple[str, ...] = ()  # functions whose calls by one request are awaited at once, not one after another
    batch: tuple[str, ...] = ()  # functions whose jobs of one request become one call for all of their items; F=G: of G
    released: tuple[str, ...] = ()  # functions before which connections and locks are given back
    clients: int | None = None
    rate: float | None = None
    switch_interval_ns: float | None = None


def changed(
    programs: Sequence[Program], resources: Resources, found: Recording, change: Change, *, near: bool = False
) -> tuple[list[Program], Resources]:
    """Return programs and resources after the change; `near`: with a function goes what began or ended with a wait in it.
    Raises InputError for what the recording does not have."""
    limits = dict(resources.limits)
    for name, size in change.pools.items():
        keys = _named(found, name, (POOL, OWN, CONNECTIONS, LOCK), "pool, connection pool or limit")
        limits.update(dict.fromkeys(keys, size))
    limits.update({(POOL, name): size for name, size in change.shared.items()})
    after = replace(resources, limits=limits, processes=resources.processes * change.workers)
    if change.switch_interval_ns is not None:
        after = replace(after, interval_ns=change.switch_interval_ns)
    steps = list(programs)
    for name in change.without:
        if name in CAUSES:
            steps, after = _without_cause(steps, after, name)
        else:
            steps = _scaled(steps, name, 0.0, near)
    for name, times in change.faster.items():
        steps = _scaled(steps, name, 1 / times)
    for name in change.together:
        steps = _together(steps, name)
    for name in change.shared:
        steps = _shared(steps, found, name)
    for name in change.released:
        steps = released(steps, name)
    for name in change.batch:
        steps = batched(steps, name, found.others)
    return steps, after


def mapped(programs: Sequence[Program], one: Callable[[Step], Step | None]) -> list[Program]:
    """Return the programs with each step replaced, or left out where there is none."""
    return [
        program._replace(
            activities=tuple(
                tuple(new for step in steps if (new := one(step)) is not None) for steps in program.activities
            )
        )
        for program in programs
    ]


def _named(found: Recording, name: str, kinds: Iterable[str], what: str) -> set[Key]:
    """The limits of these kinds that a user means by this name."""
    of_kinds = {key: names for key, names in found.names.items() if key[0] in kinds}
    keys = {key for key, names in of_kinds.items() if name in names}
    if not keys:
        known = sorted({name for names in of_kinds.values() for name in names if name})
        raise InputError(f"no {what} {name!r} in this recording; it has: {', '.join(known) or 'none'}")
    return keys


def _shared(programs: Sequence[Program], found: Recording, name: str) -> list[Program]:
    """One pool in place of each request's own: none is started or shut down, and no submit waits for a thread's start."""
    own = _named(found, name, (OWN,), "pool that requests make")

    def one(step: Step) -> Step | None:
        if isinstance(step, Take | Give):
            return None if step.key in found.submits else step._replace(key=(POOL, name)) if step.key in own else step
        return None if isinstance(step, Pause) and step.cause in (Cause.POOL_STARTUP, Cause.POOL_SHUTDOWN) else step

    return mapped(programs, one)


def released(programs: Sequence[Program], function: str) -> list[Program]:
    """Return the programs with connections and locks given back before this function, where its caller holds them."""
    _known(programs, function)
    return [
        one._replace(activities=tuple(_given_back(steps, function) for steps in one.activities)) for one in programs
    ]


def _given_back(steps: Steps, function: str) -> Steps:
    found: list[Step] = []
    held: list[Key] = []  # of what may be given back: what is held now
    early: list[Key] = []  # and what was given back early
    for step in steps:
        if isinstance(step, Run | Pause) and function in step.names:
            found += map(Give, held)
            early, held = [*early, *held], []
        if isinstance(step, Give) and step.key in early:
            early.remove(step.key)
            continue
        if isinstance(step, Take) and step.key[0] in (CONNECTIONS, LOCK):
            held.append(step.key)
        elif isinstance(step, Give) and step.key in held:
            held.remove(step.key)
        found.append(step)
    return tuple(found)


def _without_cause(programs: Sequence[Program], resources: Resources, cause: str) -> tuple[list[Program], Resources]:
    kinds = _LOCKS.get(cause, ())

    def kept(step: Step) -> Step | None:
        if isinstance(step, Take | Give) and isinstance(step.key, tuple) and step.key[0] in kinds:
            said = step.key[-1]
            gone = cause not in (Cause.LOCK_WAIT, Cause.LOGGING_WAIT) or (said == schema.WAIT_LOGGING) == (
                cause == Cause.LOGGING_WAIT
            )
            return None if gone else step
        if isinstance(step, Take | Give) and step.key == LOOP and cause == Cause.LOOP_BUSY:
            return None
        return None if isinstance(step, Pause) and step.cause == cause else step

    gil, cpus = cause != Cause.GIL_WAIT and resources.gil, float("inf") if cause == Cause.CPU_WAIT else resources.cpus
    return mapped(programs, kept), replace(resources, gil=gil, cpus=cpus)


def _scaled(programs: Sequence[Program], function: str, factor: float, near: bool = False) -> list[Program]:
    def one(step: Step) -> Step:
        if isinstance(step, Run | Pause) and (function in step.names or (near and function in step.near)):
            return step._replace(ns=step.ns * factor)
        return step

    _known(programs, function)
    return mapped(programs, one)


def _together(programs: Sequence[Program], function: str) -> list[Program]:
    """Of each activity's waits in this function the longest stays: the others pass meanwhile. What it computes stays."""
    _known(programs, function)
    return [one._replace(activities=tuple(_at_once(steps, function) for steps in one.activities)) for one in programs]


def _at_once(steps: Steps, function: str) -> Steps:
    waits = [step for step in steps if isinstance(step, Pause) and function in step.names]
    longest = max(waits, key=lambda step: step.ns, default=None)
    return tuple(step for step in steps if step is longest or not any(step is one for one in waits))


def functions(programs: Sequence[Program]) -> set[str]:
    """Return the names that programs' steps have."""
    return {name for program in programs for steps in program.activities
            for step in steps if isinstance(step, Run | Pause) for name in step.names}  # fmt: skip


def _known(programs: Sequence[Program], function: str) -> None:
    names = functions(programs)
    if function not in names:
        said = ", ".join(sorted(names)[:20])
        raise InputError(f"no function {function!r} in this recording; it has: {said}. Causes are: {', '.join(CAUSES)}")
