"""Finds tasks and jobs without a waiter at their end, so that Jaeger's critical path skips them.

Jaeger treats the child that ends last as the awaited one. It leaves out one relation, a CONSUMER below a PRODUCER,
which is OpenTelemetry's for work that was submitted and not awaited (jaeger-ui, `CriticalPath/utils/cpspan.ts`,
since 2.15). So these tasks and jobs get these kinds; their parents and times do not change.

    handle (run)       |------------------------------------------|    PRODUCER
      await first         |-----|                                      ended by `job first`
      job first         |-------|
      job second        |------------|                                 CONSUMER: at its end `handle` was running
      await third                       |-----|                        ended by `job third`
      job fourth        |----------------|                             ended in a wait for another one: skipped
      job third         |---------------------|
      job audit                                 |------------------|   CONSUMER: it outlived its spawner
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate, combinations

from whywait.tracer.spans.cooperative_pause import Pause, rested
from whywait.tracer.spans.span_spec import ACTIVITIES, AboutWait, SpanSpec

_DEEPEST = 64  # an activity that spawned one that spawned one ...


class _Waits:
    def __init__(self, stretches: Sequence[tuple[int, int]]) -> None:
        waits = sorted(stretches)
        self._starts = [start_ns for start_ns, _ in waits]
        self._until = list(accumulate((end_ns for _, end_ns in waits), max))

    def cover(self, ns: int) -> bool:
        at = bisect_right(self._starts, ns) - 1
        return at >= 0 and ns <= self._until[at]


def by_who_waited(
    made: Sequence[SpanSpec], owners: Mapping[int, int], resolution_ns: int, pause: Pause
) -> tuple[set[int], set[int]]:
    """Return the indices of awaited tasks and jobs, which ended a wait of the activity above (`owners`) or spawned
    one that did; and of those that ended while it did not wait and lasted `RESOLUTION_NS`."""
    stretches, awaited = _awaited(made, owners, pause)
    pause()
    waits: dict[int, _Waits] = {}
    waited_for, alone = set(), set()
    for index, owner in owners.items():
        spec = made[index]
        if not isinstance(spec.about, ACTIVITIES):
            continue
        if (owner, spec.span_id) in awaited:
            waited_for.add(index)
        elif spec.end_ns - spec.start_ns >= resolution_ns:
            if owner not in waits:
                waits[owner] = _Waits(stretches.get(owner, ()))
            if not waits[owner].cover(spec.end_ns):
                alone.add(index)
    return waited_for, alone


def _awaited(
    made: Sequence[SpanSpec], owners: Mapping[int, int], pause: Pause
) -> tuple[dict[int, list[tuple[int, int]]], set[tuple[int, int]]]:
    """The waits of each activity; and the awaited activities, as pairs of one above and one below it.

    An activity that spawned the waker counts as awaited: Jaeger's critical path passes through it.
    """
    spawners = _spawners(made, pause)
    stretches: dict[int, list[tuple[int, int]]] = {}
    edges: set[tuple[int, int]] = set()
    for index, spec in enumerate(rested(made, pause)):
        about = spec.about
        if not isinstance(about, AboutWait):
            continue
        waiter, waker = about.activity, about.followed_id
        stretches.setdefault(waiter, []).append((spec.start_ns, spec.end_ns))
        if waker not in spawners and index not in owners:  # the return from a job, below it
            waker = spec.parent_id
        if waker:
            edges.add((waiter, waker))
    pause()
    pairs = {pair for waiter, waker in edges for pair in combinations(_between(waiter, waker, spawners), 2)}
    return stretches, pairs


def _spawners(made: Sequence[SpanSpec], pause: Pause) -> dict[int, int]:
    found: dict[int, int] = {}
    for spec in rested(made, pause):
        if isinstance(spec.about, ACTIVITIES):
            found[spec.span_id] = spec.about.spawner.span_id if spec.about.spawner is not None else 0
    return found


def _between(waiter: int, waker: int, spawners: Mapping[int, int]) -> list[int]:
    """The chain of spawned activities from the waiter to the waker; or the two alone."""
    chain = [waker]
    while chain[-1] != waiter and chain[-1] in spawners and len(chain) < _DEEPEST:
        chain.append(spawners[chain[-1]])
    return chain[::-1] if chain[-1] == waiter else [waiter, waker]
