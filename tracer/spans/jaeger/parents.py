"""Below which activity each span of a request hangs.

What lay between the end of a job and its waiter's next instruction hangs below the job, so that both are read as
one. Where the wait for the job was too short for a span nobody waited for most of the job, and the way back hangs
below the waiter, beside the job:

    handle (run)    |----------------------------------|
      await first     |-----------|                       ended by `job first`
      job first       |-----------------|
        resume                     |----|                 of `handle`
      job second      |------------------------|
      resume                               |---|          of `handle`, which had not waited for `second` until then
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whywait.tracer import schema as s
from whywait.tracer.spans.cooperative_pause import Pause, rested
from whywait.tracer.spans.jaeger.span_facts import ACTIVITIES, Told
from whywait.tracer.spans.span_spec import SpanSpec, span_hex


@dataclass(slots=True)
class Home:
    """Where an activity's doings hang."""

    span_id: int
    start_ns: int
    end_ns: int
    above: str  # the activity that spawned it, as hex
    is_run: bool = False  # of a job: spans of the host's begun in it are below its run


def homes_of(made: Sequence[SpanSpec], told: Told, pause: Pause) -> dict[str, Home]:
    """Return the home of each activity, by its span as hex."""
    homes: dict[str, Home] = {}
    runs: list[int] = []
    for index, kind in enumerate(rested(told.kinds, pause)):
        if kind == s.KIND_RUN:
            runs.append(index)
        elif kind in ACTIVITIES:
            spec = made[index]
            name = span_hex(spec.span_id)
            above = "" if index in told.roots else told.spawners[name]
            homes[name] = Home(spec.span_id, spec.start_ns, spec.end_ns, above)
    for index in rested(runs, pause):
        spec, home = made[index], homes.get(told.activities[index])
        if home is not None:
            home.span_id, home.start_ns, home.end_ns = spec.span_id, spec.start_ns, spec.end_ns
            home.is_run = True
    return homes


def returns_beside(
    made: Sequence[SpanSpec], told: Told, homes: Mapping[str, Home], pause: Pause
) -> dict[int, int]:
    """Return by index the ways back that do not hang below their job, each with the index of the job's span."""
    jobs = {made[index].span_id: index for index, kind in enumerate(told.kinds) if kind == s.KIND_JOB}
    backs = [
        (index, jobs[made[index].parent_id], told.activities[index], span_hex(made[index].parent_id))
        for index, kind in enumerate(rested(told.kinds, pause))
        if kind == s.KIND_WAIT and made[index].parent_id in jobs
    ]
    backs = [back for back in backs if back[2] != back[3] and back[2] in homes and homes[back[3]].is_run]
    if not backs:
        return {}
    waited_for = set(zip(told.activities, told.wakers, strict=True))
    return {
        index: job
        for index, job, waiter, name in backs
        if (waiter, name) not in waited_for and homes[name].end_ns - made[job].start_ns >= told.resolution_ns
    }


def owners_of(
    made: Sequence[SpanSpec], told: Told, homes: Mapping[str, Home], beside: Mapping[int, int], pause: Pause
) -> dict[int, str]:
    """Return by index below which activity, as hex, each span hangs; without those whose place is given."""
    owners: dict[int, str] = {}
    activity_ids = {spec.span_id for spec, kind in zip(made, told.kinds, strict=True) if kind in ACTIVITIES}
    each = zip(rested(made, pause), told.kinds, told.activities, strict=True)
    for index, (spec, kind, activity) in enumerate(each):
        if index in beside:
            owners[index] = activity
        elif kind == s.KIND_RUN or index in told.roots or not spec.parent_id:
            continue
        elif kind in ACTIVITIES:
            above = _spawner(spec, homes)
            if above is not None:
                owners[index] = above
        elif activity in homes:
            # below an activity and not its home: of a job, before or after its run
            is_given = spec.parent_id in activity_ids and spec.parent_id != homes[activity].span_id
            if not is_given or kind not in (s.KIND_WAIT, s.KIND_PHASE):
                owners[index] = activity
    return owners


def _spawner(spec: SpanSpec, homes: Mapping[str, Home]) -> str | None:
    """The nearest activity above that outlived it."""
    above = homes[span_hex(spec.span_id)].above
    passed = 0
    while above in homes and homes[above].above in homes and homes[above].end_ns < spec.end_ns:
        above = homes[above].above
        passed += 1
        if passed > len(homes):
            return None
    return above if above in homes else None
