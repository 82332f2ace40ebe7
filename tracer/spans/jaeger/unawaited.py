"""Which tasks and jobs nobody waited for as they ended, so that Jaeger's critical path passes them by.

Jaeger takes the child that ends last for the one that was waited for, whoever that was. It leaves out one
relation, that of a CONSUMER below a PRODUCER, which is OpenTelemetry's for work that was handed over and not
waited for (jaeger-ui, `CriticalPath/utils/cpspan.ts`, since 2.15). So those get these kinds, and nothing else of
them changes: they stand where they belong, at their own times.

    handle (run)       |------------------------------------------|    PRODUCER
      await first         |-----|                                      ended by `job first`
      job first         |-------|
      job second        |------------|                                 CONSUMER: at its end `handle` was at work
      await third                       |-----|                        ended by `job third`
      job fourth        |----------------|                             ended in a wait, for another one: passed by
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
    """When one activity waited."""

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
    """Return the indices of the tasks and jobs that were waited for, and of those that nobody waited for.

    `owners` says for each index below which activity it hangs. Waited for is who ended a wait of that
    activity, or spawned who did. Of the others those are meant that ended while it did not wait, and were not
    too short to have left a wait (`RESOLUTION_NS`).
    """
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
    """When each activity waited; and who was waited for, as pairs of one above and one below it.

    An activity that spawned one which ended the wait counts as one: the path comes through it.
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
        if waker not in spawners and index not in owners:  # the way back from a job, below it
            waker = spec.parent_id
        if waker:
            edges.add((waiter, waker))
    pause()
    pairs = {pair for waiter, waker in edges for pair in combinations(_between(waiter, waker, spawners), 2)}
    return stretches, pairs


def _spawners(made: Sequence[SpanSpec], pause: Pause) -> dict[int, int]:
    """By whom each activity was spawned; 0: by none."""
    found: dict[int, int] = {}
    for spec in rested(made, pause):
        if isinstance(spec.about, ACTIVITIES):
            found[spec.span_id] = spec.about.spawner.span_id if spec.about.spawner is not None else 0
    return found


def _between(waiter: int, waker: int, spawners: Mapping[int, int]) -> list[int]:
    """The waiter, and whom it spawned who spawned another and so on down to the waker; or the two alone."""
    chain = [waker]
    while chain[-1] != waiter and chain[-1] in spawners and len(chain) < _DEEPEST:
        chain.append(spawners[chain[-1]])
    return chain[::-1] if chain[-1] == waiter else [waiter, waker]
