"""Finds the activity above each span of a request.

The return from a job's end to its waiter's next instruction is a child of the job, so that both are read as one. If
the wait for the job was too short for a span, most of the job had no waiter, and the return is a child of the
waiter, a sibling of the job:

    handle (run)    |----------------------------------|
      await first     |-----------|                       ended by `job first`
      job first       |-----------------|
        resume                     |----|                 of `handle`
      job second      |------------------------|
      resume                               |---|          of `handle`, which had not waited for `second` until then
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from whywait.tracer import schema as s
from whywait.tracer.spans.cooperative_pause import Pause, rested
from whywait.tracer.spans.span_spec import ACTIVITIES, AboutJob, AboutRun, AboutTask, AboutWait, SpanSpec


@dataclass(slots=True)
class Home:
    """The span above an activity's spans."""

    span_id: int
    start_ns: int
    end_ns: int
    above: int  # the activity that spawned it, 0: none
    is_run: bool = False  # of a job: the host's spans inside are below its run


def homes_of(made: Sequence[SpanSpec], pause: Pause) -> dict[int, Home]:
    """Return the home of each activity."""
    homes: dict[int, Home] = {}
    runs: list[SpanSpec] = []
    for spec in rested(made, pause):
        about = spec.about
        if isinstance(about, AboutRun):
            runs.append(spec)
        elif isinstance(about, ACTIVITIES):
            above = about.spawner.span_id if about.spawner is not None and not is_root(spec) else 0
            homes[spec.span_id] = Home(spec.span_id, spec.start_ns, spec.end_ns, above)
    for spec in rested(runs, pause):
        home = homes.get(spec.about.activity)
        if home is not None:
            home.span_id, home.start_ns, home.end_ns = spec.span_id, spec.start_ns, spec.end_ns
            home.is_run = True
    return homes


def is_root(spec: SpanSpec) -> bool:
    """Whether the span is the task that is the request."""
    return isinstance(spec.about, AboutTask) and spec.about.root is not None


def returns_beside(
    made: Sequence[SpanSpec], homes: Mapping[int, Home], resolution_ns: int, pause: Pause
) -> dict[int, int]:
    """Return by index the returns that are not children of their job, each with the index of the job's span."""
    jobs = {spec.span_id: index for index, spec in enumerate(made) if isinstance(spec.about, AboutJob)}
    waits = dict(_waits(made, pause))
    backs = [index for index in waits if made[index].parent_id in jobs]
    waited_for = {(wait.activity, wait.followed_id) for wait in waits.values()}

    def is_beside(back: int) -> bool:
        waiter, job_id = waits[back].activity, made[back].parent_id
        home = homes[job_id]
        is_waiters = waiter in homes and waiter != job_id and home.is_run and (waiter, job_id) not in waited_for
        return is_waiters and home.end_ns - made[jobs[job_id]].start_ns >= resolution_ns

    return {back: jobs[made[back].parent_id] for back in backs if is_beside(back)}


def _waits(made: Sequence[SpanSpec], pause: Pause) -> Iterator[tuple[int, AboutWait]]:
    for index, spec in enumerate(rested(made, pause)):
        if isinstance(spec.about, AboutWait):
            yield index, spec.about


def owners_of(
    made: Sequence[SpanSpec], homes: Mapping[int, Home], beside: Mapping[int, int], pause: Pause
) -> dict[int, int]:
    """Return by index the activity above each span, except spans with a given parent."""
    owners: dict[int, int] = {}
    for index, spec in enumerate(rested(made, pause)):
        owner = spec.about.activity if index in beside else _owner(spec, homes)  # a return is below its waiter
        if owner is not None:
            owners[index] = owner
    return owners


def _owner(spec: SpanSpec, homes: Mapping[int, Home]) -> int | None:
    about = spec.about
    if isinstance(about, AboutRun) or is_root(spec) or not spec.parent_id:  # 1. its parent is given
        return None
    if isinstance(about, ACTIVITIES):  # 2. below its spawner
        return _spawner(spec, homes)
    # 3. below its activity
    return about.activity if about.activity in homes and not _is_beside_run(spec, homes) else None


def _is_beside_run(spec: SpanSpec, homes: Mapping[int, Home]) -> bool:
    """Whether it is placed below an activity and not its home: of a job, before or after its run."""
    is_given = spec.parent_id in homes and spec.parent_id != homes[spec.about.activity].span_id
    return is_given and spec.about.kind in (s.KIND_WAIT, s.KIND_PHASE)


def _spawner(spec: SpanSpec, homes: Mapping[int, Home]) -> int | None:
    """The nearest activity above that outlived it."""
    above = homes[spec.span_id].above
    passed = 0
    while above in homes and homes[above].above in homes and homes[above].end_ns < spec.end_ns:
        above = homes[above].above
        passed += 1
        if passed > len(homes):
            return None
    return above if above in homes else None
