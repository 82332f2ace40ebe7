"""Where each span hangs and where it ends, so that Jaeger's own critical path passes through the named waits.

Edges are attributes (`SPAWNED_BY`, `WAKER_SPAN_ID`), so the tree is free to be what reads best. Jaeger knows no
edges: from the end of a span it goes down into the child that ends last, and from that child's start on to the
sibling that ended last before it. It can only come through what is nested like this:

    SERVER                     |-----------------------------------------|
      fastapi.endpoint           |-------------------------------------|     the host's: a leaf beside us
      task (root)              |-----------------------------------------|
        on loop                |----|                               |----|
        job predict                |-------------------------------|         ends before the block begins
          pool queue               |----------|
          predict (run)                        |-------------|
          loop busy                                           |----|
        await rank                  |-----------------------|                passed by: the job ends later

* What an activity did hangs below it, or below the innermost phase or block of its own that was open, and not
  below a span of the host's, of which we do not know when it ended and which lies beside the activity. In a job, and
  where a phase of ours is open, the host's spans are below those, and what hangs below them stays there.
* What was spawned hangs below its spawner if it ended before it, else below who spawned that.
* A phase is never cut by a block: a block that begins inside a phase hangs below it, one that begins before is
  beside it.
* A phase or block in which somebody was spawned who outlived it holds nothing: the walk comes back to where the
  spawned began, which is inside, and passes it by. What lies in it hangs beside it.
* A span that ends as its sibling begins ends `APART_NS` earlier, because what ends in the same microsecond as
  another begins is passed by. Jobs whose results lay ready when one was waited for end before that one. A task whose last act was to wake its waiter ends with that, and the wait before.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from tracer import schema as s
from tracer.observed import Attributes
from tracer.spans.spec import SpanSpec, span_hex

APART_NS: Final = 1_000  # one tick of Jaeger's clock
LAST_ACT_NS: Final = (
    50_000  # how long a task may go on after it woke its waiter, and that was still its last act
)


class _Frame(NamedTuple):
    span_id: int
    end_ns: int  # where its own frame ends, at the latest
    is_phase: bool
    host: int  # the host's span that it hangs below, 0 where there is none between


@dataclass(slots=True)
class _Home:
    """Where an activity's doings hang."""

    span_id: int
    start_ns: int
    end_ns: int
    above: str  # the activity that spawned it, as hex
    is_run: bool = False  # of a job: spans of the host's begun in it are below its run


def nested(made: Sequence[SpanSpec]) -> list[SpanSpec]:
    """Return the spans of one request with their parents, and some ends, as the module says."""
    homes = _homes(made)
    by_owner: dict[str, list[int]] = {}
    for index, spec in enumerate(made):
        owner = _owner(spec, homes)
        if owner is not None:
            by_owner.setdefault(owner, []).append(index)
    ours = {spec.span_id for spec in made}
    parents = [spec.parent_id for spec in made]
    for owner, indices in by_owner.items():
        _hang(made, indices, homes[owner], ours, parents)
    ends = _apart(made, parents)
    return [
        spec
        if parents[index] == spec.parent_id and ends[index] == spec.end_ns
        else replace(
            spec,
            parent_id=parents[index],
            end_ns=ends[index],
            attributes=_shortened(spec.attributes, spec.end_ns - spec.start_ns, ends[index] - spec.start_ns),
        )
        for index, spec in enumerate(made)
    ]


def _shortened(attributes: Attributes, was_ns: int, is_ns: int) -> Attributes:
    """What others had of the wait is no longer than the wait; the pool's occupants had all of it."""
    if is_ns >= was_ns:
        return attributes
    changed: dict[str, Any] = {}
    for shares in (s.OCCUPANT_NS, s.BLOCKERS_NS):
        found = attributes.get(shares)
        if isinstance(found, list) and found:
            told = [int(one) for one in found]
            other = attributes.get(s.OCCUPANT_OTHER_NS) if shares == s.OCCUPANT_NS else 0
            excess_ns = sum(told) + (other if isinstance(other, int) else 0) - is_ns
            changed[shares] = [max(told[0] - max(excess_ns, 0), 0), *told[1:]]
    chief = attributes.get(s.BLOCKER_NS)
    if isinstance(chief, int):
        changed[s.BLOCKER_NS] = changed.get(s.BLOCKERS_NS, [min(chief, is_ns)])[0]
    return {**attributes, **changed} if changed else attributes


def _homes(made: Iterable[SpanSpec]) -> dict[str, _Home]:
    homes: dict[str, _Home] = {}
    runs: list[SpanSpec] = []
    for spec in made:
        kind = spec.attributes.get(s.KIND)
        if kind == s.KIND_RUN:
            runs.append(spec)
        elif kind in (s.KIND_TASK, s.KIND_JOB):
            above = "" if spec.attributes.get(s.ROOT) else str(spec.attributes.get(s.SPAWNED_BY, ""))
            homes[span_hex(spec.span_id)] = _Home(spec.span_id, spec.start_ns, spec.end_ns, above)
    for spec in runs:
        home = homes.get(str(spec.attributes.get(s.ACTIVITY)))
        if home is not None:
            home.span_id, home.start_ns, home.end_ns = spec.span_id, spec.start_ns, spec.end_ns
            home.is_run = True
    return homes


def _owner(spec: SpanSpec, homes: dict[str, _Home]) -> str | None:
    """The activity below which it hangs; None where its place is given."""
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


def _spawner(spec: SpanSpec, homes: dict[str, _Home]) -> str | None:
    """The nearest activity above that outlived it."""
    above = homes[span_hex(spec.span_id)].above
    passed = 0
    while above in homes and homes[above].above in homes and homes[above].end_ns < spec.end_ns:
        above = homes[above].above
        passed += 1
        if passed > len(homes):
            return None
    return above if above in homes else None


def _hang(
    made: Sequence[SpanSpec], indices: list[int], home: _Home, ours: set[int], parents: list[int]
) -> None:
    spawned = sorted(
        (made[index].start_ns, made[index].end_ns)
        for index in indices
        if made[index].attributes.get(s.KIND) in (s.KIND_TASK, s.KIND_JOB)
    )
    open_frames: list[_Frame] = []
    for index in sorted(indices, key=lambda one: (made[one].start_ns, -made[one].end_ns, _rank(made[one]))):
        spec = made[index]
        open_frames = [frame for frame in open_frames if frame.end_ns > spec.start_ns]
        is_block = spec.attributes.get(s.KIND) == s.KIND_BLOCK
        around = [
            frame for frame in open_frames if spec.end_ns <= frame.end_ns or (is_block and frame.is_phase)
        ]
        hosts_are_below = home.is_run or any(frame.is_phase for frame in around)
        host = around[-1].host if around else 0
        if hosts_are_below and spec.parent_id not in ours and spec.parent_id != host:
            host = spec.parent_id
        else:
            parents[index] = around[-1].span_id if around else home.span_id
        if (is_block or _is_phase(spec)) and not _outlived(spec, spawned):
            end_ns = min(spec.end_ns, around[-1].end_ns) if around else spec.end_ns
            open_frames.append(_Frame(spec.span_id, end_ns, not is_block, host))


def _outlived(frame: SpanSpec, spawned: Sequence[tuple[int, int]]) -> bool:
    first = bisect_left(spawned, (frame.start_ns, 0))
    after = bisect_left(spawned, (frame.end_ns, 0))
    return any(end_ns > frame.end_ns for _, end_ns in spawned[first:after])


def _is_phase(spec: SpanSpec) -> bool:
    return spec.attributes.get(s.KIND, s.KIND_PHASE) == s.KIND_PHASE  # the life of a generator has no kind


def _rank(spec: SpanSpec) -> int:
    """Among equal stretches a block is outside, then a phase, then the rest."""
    return 0 if spec.attributes.get(s.KIND) == s.KIND_BLOCK else 1 if _is_phase(spec) else 2


def _wakers(made: Sequence[SpanSpec]) -> list[tuple[int, int]]:
    """The waits that an activity of the request ended, each with that activity's span, by index."""
    at = {
        span_hex(spec.span_id): index
        for index, spec in enumerate(made)
        if spec.attributes.get(s.KIND) in (s.KIND_TASK, s.KIND_JOB) and not spec.unix
    }
    return [
        (index, at[waker])
        for index, spec in enumerate(made)
        if isinstance(waker := spec.attributes.get(s.WAKER_SPAN_ID), str) and waker in at
    ]


def _apart(made: Sequence[SpanSpec], parents: Sequence[int]) -> list[int]:
    ends = [spec.end_ns for spec in made]
    wakers = _wakers(made)
    for wait, waker in wakers:
        if made[waker].attributes.get(s.KIND) == s.KIND_TASK:
            woke_ns = made[wait].end_ns
            if made[waker].start_ns < woke_ns < ends[waker] <= woke_ns + LAST_ACT_NS:
                ends[waker] = woke_ns
    _taken_together(made, wakers, ends)
    siblings: dict[int, list[int]] = {}
    for index, parent_id in enumerate(parents):
        if not made[index].unix:
            siblings.setdefault(parent_id, []).append(index)
    for indices in siblings.values():
        starts = sorted({made[index].start_ns for index in indices})
        for index in indices:
            at = bisect_left(starts, ends[index])
            if at < len(starts) and starts[at] - ends[index] < APART_NS:
                ends[index] = _not_before_start(made[index], starts[at] - APART_NS)
    for wait, waker in wakers:
        if abs(ends[waker] - ends[wait]) < APART_NS:
            ends[wait] = _not_before_start(made[wait], ends[waker] - APART_NS)
    return ends


def _taken_together(made: Sequence[SpanSpec], wakers: Iterable[tuple[int, int]], ends: list[int]) -> None:
    """End the jobs whose results were taken in one go after a wait for another one before that other one."""
    waited_for = {waker for _, waker in wakers}
    runs = {spec.parent_id: spec.end_ns for spec in made if spec.attributes.get(s.KIND) == s.KIND_RUN}
    jobs = (index for index, spec in enumerate(made) if spec.attributes.get(s.KIND) == s.KIND_JOB)
    first_ns = last_ns = 0  # the end of the one waited for, and of the last one taken after it
    for index in sorted(jobs, key=ends.__getitem__):
        end_ns = ends[index]
        if index in waited_for:
            first_ns = last_ns = end_ns
        elif end_ns - last_ns <= LAST_ACT_NS:
            last_ns = end_ns
            ends[index] = max(first_ns - APART_NS, runs.get(made[index].span_id, end_ns))


def _not_before_start(spec: SpanSpec, end_ns: int) -> int:
    return max(end_ns, min(spec.start_ns, spec.end_ns))
