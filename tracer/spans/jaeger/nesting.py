"""Sets the parent and end of each span so that Jaeger's own critical path passes through the named waits.

Jaeger has no edges: from the end of a span it goes to the child that ends last, and from that child's start to the
sibling that ended last before it. So the spans are nested like this:

    SERVER                     |-----------------------------------------|
      fastapi.endpoint           |-------------------------------------|     the host's: a leaf beside us
      task (root)              |-----------------------------------------|
        ran on the loop        |----|                               |----|
        job predict                |-------------------------------|         ends before the block begins
          pool queue               |----------|
          predict (run)                        |-------------|
          loop busy                                           |----|
        await rank                  |-----------------------|                passed by: the job ends later

* A span of an activity is a child of the activity, or of its innermost open phase or block. It is not a child of a
  host's span, whose end is unknown and which is a sibling of the activity. In a job, and inside a phase of whywait,
  the host's spans are children of those, and keep their own children.
* A spawned activity is a child of its spawner if it ended before it, else of the spawner's spawner.
* A block never cuts a phase: a block that begins inside a phase is its child, one that begins before is its sibling.
* A phase or block in which an activity was spawned that outlived it and was awaited has no children: Jaeger's walk
  returns to the start of that activity, which is inside, and skips the phase. Its spans are siblings instead.
* Adjacent spans are a tick apart, because Jaeger skips a span that ends in the same microsecond as another begins
  (`span_ends.py`).
* An activity without a waiter at its end is a CONSUMER below a PRODUCER (`unawaited.py`), and no child of a host's span.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

from whywait.tracer import schema as s
from whywait.tracer.spans.cooperative_pause import Pause, no_pause, rested
from whywait.tracer.spans.jaeger.parents import Home, homes_of, owners_of, returns_beside
from whywait.tracer.spans.jaeger.span_ends import apart, shortened
from whywait.tracer.spans.jaeger.unawaited import by_who_waited
from whywait.tracer.spans.span_spec import AboutTask, Kind, SpanSpec

_PHASES: Final = (s.KIND_PHASE, "")  # the life of a generator has no kind
_NEVER_NS: Final = 2**63
_BLOCK: Final = 0
_PHASE: Final = 1


class _Frame(NamedTuple):
    span_id: int
    end_ns: int  # the latest end of its own frame
    is_phase: bool
    host: int  # the host's span above it, 0 without one in between


def nested(made: Sequence[SpanSpec], pause: Pause = no_pause) -> list[SpanSpec]:
    """Return the spans of one request with parents, kinds and ends by the rules above. `pause` is called
    periodically."""
    kinds = [spec.about.kind for spec in rested(made, pause)]
    resolution_ns = _resolution_ns(made)
    homes = homes_of(made, pause)
    beside = returns_beside(made, homes, resolution_ns, pause)
    owners = owners_of(made, homes, beside, pause)
    by_owner: dict[int, list[int]] = {}
    for index, owner in owners.items():
        by_owner.setdefault(owner, []).append(index)
    waited_for, passed_by = by_who_waited(made, owners, resolution_ns, pause)
    ours = {spec.span_id for spec in made}
    parents = [made[beside.get(index, index)].parent_id for index in range(len(made))]
    for owner, indices in by_owner.items():
        _hang(made, kinds, indices, homes[owner], ours, waited_for, passed_by, parents, pause)
        pause()
    span_kinds = _span_kinds(made, parents, passed_by)
    ends = apart(made, parents, beside, pause)
    return list(map(_placed, rested(made, pause), parents, ends, span_kinds))


def _placed(spec: SpanSpec, parent_id: int, end_ns: int, kind: Kind) -> SpanSpec:
    if (parent_id, end_ns, kind) == (spec.parent_id, spec.end_ns, spec.kind):
        return spec
    about = shortened(spec.about, spec.end_ns - spec.start_ns, end_ns - spec.start_ns)
    return SpanSpec(
        spec.name, spec.trace_id, spec.span_id, parent_id, spec.start_ns, end_ns, about, spec.error, spec.unix,
        spec.not_after_unix_ns, kind,
    )  # fmt: skip


def _resolution_ns(made: Sequence[SpanSpec]) -> int:
    roots = (spec.about.root for spec in made if isinstance(spec.about, AboutTask))
    return next((root.resolution_ns for root in roots if root is not None), 0)


def _span_kinds(made: Sequence[SpanSpec], parents: Sequence[int], passed_by: set[int]) -> list[Kind]:
    kinds: list[Kind] = [spec.kind for spec in made]
    at = {spec.span_id: index for index, spec in enumerate(made)}
    for index in passed_by:
        above = at.get(parents[index])
        if above is not None and above not in passed_by:  # else Jaeger skips everything below with it
            kinds[above], kinds[index] = "producer", "consumer"
    return kinds


def _hang(
    made: Sequence[SpanSpec], kinds: Sequence[str], indices: list[int], home: Home, ours: set[int],
    waited_for: set[int], passed_by: set[int], parents: list[int], pause: Pause,
) -> None:  # fmt: skip
    spawned = sorted((made[index].start_ns, made[index].end_ns) for index in waited_for.intersection(indices))
    open_frames = [_Frame(home.span_id, _NEVER_NS, False, 0)]
    ordered = sorted(indices, key=lambda one: (made[one].start_ns, -made[one].end_ns, _rank(kinds[one])))
    for index in rested(ordered, pause):
        spec, rank = made[index], _rank(kinds[index])
        open_frames = [frame for frame in open_frames if frame.end_ns > spec.start_ns]
        around = _around(spec, rank == _BLOCK, open_frames)
        outer, host = around[-1], around[-1].host
        if index not in passed_by and _keeps_host(parents[index], ours, home, around):
            host = parents[index]
        else:
            parents[index] = outer.span_id
        if rank <= _PHASE and not _outlived(spec, spawned):
            open_frames.append(_Frame(spec.span_id, min(spec.end_ns, outer.end_ns), rank == _PHASE, host))


def _around(spec: SpanSpec, is_block: bool, open_frames: Sequence[_Frame]) -> list[_Frame]:
    """The frames around a span, the innermost last; the first is its home."""
    return [frame for frame in open_frames if spec.end_ns <= frame.end_ns or (is_block and frame.is_phase)]


def _keeps_host(given: int, ours: set[int], home: Home, around: Sequence[_Frame]) -> bool:
    """Whether the given parent is a span of the host's inside the innermost frame, so that the span stays below it."""
    is_inside = given not in ours and given != around[-1].host
    return is_inside and (home.is_run or any(frame.is_phase for frame in around))


def _outlived(frame: SpanSpec, spawned: Sequence[tuple[int, int]]) -> bool:
    first = bisect_left(spawned, (frame.start_ns, 0))
    after = bisect_left(spawned, (frame.end_ns, 0))
    return any(end_ns > frame.end_ns for _, end_ns in spawned[first:after])


def _rank(kind: str) -> int:
    """Of equal stretches a block is the outer one, then a phase, then the others, which are no frames."""
    return _BLOCK if kind == s.KIND_BLOCK else _PHASE if kind in _PHASES else _PHASE + 1
