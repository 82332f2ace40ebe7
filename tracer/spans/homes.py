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

from tracer import schema as s
from tracer.spans.spec import SpanSpec, span_hex


@dataclass(slots=True)
class Home:
    """Where an activity's doings hang."""

    span_id: int
    start_ns: int
    end_ns: int
    above: str  # the activity that spawned it, as hex
    is_run: bool = False  # of a job: spans of the host's begun in it are below its run


def homes_of(made: Sequence[SpanSpec]) -> dict[str, Home]:
    """Return the home of each activity, by its span as hex."""
    homes: dict[str, Home] = {}
    runs: list[SpanSpec] = []
    for spec in made:
        kind = spec.attributes.get(s.KIND)
        if kind == s.KIND_RUN:
            runs.append(spec)
        elif kind in (s.KIND_TASK, s.KIND_JOB):
            above = "" if spec.attributes.get(s.ROOT) else str(spec.attributes.get(s.SPAWNED_BY, ""))
            homes[span_hex(spec.span_id)] = Home(spec.span_id, spec.start_ns, spec.end_ns, above)
    for spec in runs:
        home = homes.get(str(spec.attributes.get(s.ACTIVITY)))
        if home is not None:
            home.span_id, home.start_ns, home.end_ns = spec.span_id, spec.start_ns, spec.end_ns
            home.is_run = True
    return homes


def returns_beside(made: Sequence[SpanSpec], homes: Mapping[str, Home]) -> dict[int, int]:
    """Return by index the ways back that do not hang below their job, each with the index of the job's span."""
    jobs = {
        spec.span_id: index for index, spec in enumerate(made) if spec.attributes.get(s.KIND) == s.KIND_JOB
    }
    backs = [
        (index, jobs[spec.parent_id], str(spec.attributes.get(s.ACTIVITY)), span_hex(spec.parent_id))
        for index, spec in enumerate(made)
        if spec.parent_id in jobs and spec.attributes.get(s.KIND) == s.KIND_WAIT
    ]
    backs = [back for back in backs if back[2] != back[3] and back[2] in homes and homes[back[3]].is_run]
    if not backs:
        return {}
    waited_for = {(spec.attributes.get(s.ACTIVITY), waker_of(spec)) for spec in made}
    least_ns = resolution_ns(made)
    return {
        index: job
        for index, job, waiter, name in backs
        if (waiter, name) not in waited_for and homes[name].end_ns - made[job].start_ns >= least_ns
    }


def resolution_ns(made: Sequence[SpanSpec]) -> int:
    """Return how long a wait of the request must be to have a span; 0 where its root does not say."""
    return max(
        (ns for spec in made if isinstance(ns := spec.attributes.get(s.RESOLUTION_NS), int)), default=0
    )


def waker_of(spec: SpanSpec) -> str:
    """Return the activity that ended the wait, as hex, where the path goes on in it; else ""."""
    attributes = spec.attributes
    if attributes.get(s.WAIT) not in (s.WAIT_AWAIT, s.WAIT_POOL_SHUTDOWN):
        return ""
    if s.BLOCKER_NS in attributes:  # who gave back a lock delayed the wait, and did nothing for it
        return ""
    return str(attributes.get(s.WAKER_SPAN_ID, ""))


def owner_of(spec: SpanSpec, homes: Mapping[str, Home]) -> str | None:
    """Return the activity below which the span hangs, as hex; None where its place is given."""
    attributes = spec.attributes
    kind = attributes.get(s.KIND)
    if kind == s.KIND_RUN or attributes.get(s.ROOT) or not spec.parent_id:
        return None
    activity = str(attributes.get(s.ACTIVITY, ""))
    if kind in (s.KIND_TASK, s.KIND_JOB):
        return _spawner(spec, homes)
    if activity not in homes:
        return None
    if (
        kind in (s.KIND_WAIT, s.KIND_PHASE)
        and span_hex(spec.parent_id) in homes
        and spec.parent_id != homes[activity].span_id
    ):
        return None  # of a job, before or after its run
    return activity


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
