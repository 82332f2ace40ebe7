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

from tracer import schema as s
from tracer.spans.homes import resolution_ns, waker_of
from tracer.spans.spec import SpanSpec, span_hex

_ACTIVITIES = (s.KIND_TASK, s.KIND_JOB)
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


def by_who_waited(made: Sequence[SpanSpec], owners: Mapping[int, str]) -> tuple[set[int], set[int]]:
    """Return the indices of the tasks and jobs that were waited for, and of those that nobody waited for.

    `owners` says for each index below which activity, as hex, it hangs. Waited for is who ended a wait of that
    activity, or spawned who did. Of the others those are meant that ended while it did not wait, and were not
    too short to have left a wait (`RESOLUTION_NS`).
    """
    waits, awaited = _awaited(made, owners)
    least_ns = resolution_ns(made)
    waited_for, alone = set(), set()
    for index, owner in owners.items():
        spec = made[index]
        if spec.attributes.get(s.KIND) not in _ACTIVITIES:
            continue
        is_long = spec.end_ns - spec.start_ns >= least_ns
        if (owner, span_hex(spec.span_id)) in awaited:
            waited_for.add(index)
        elif is_long and not (owner in waits and waits[owner].cover(spec.end_ns)):
            alone.add(index)
    return waited_for, alone


def _awaited(
    made: Sequence[SpanSpec], owners: Mapping[int, str]
) -> tuple[dict[str, _Waits], set[tuple[str, str]]]:
    """When each activity waited; and who was waited for, as pairs of one above and one below it.

    An activity that spawned one which ended the wait counts as one: the path comes through it.
    """
    spawners = {
        span_hex(spec.span_id): str(spec.attributes.get(s.SPAWNED_BY, ""))
        for spec in made
        if spec.attributes.get(s.KIND) in _ACTIVITIES
    }
    stretches: dict[str, list[tuple[int, int]]] = {}
    edges: set[tuple[str, str]] = set()
    for index, spec in enumerate(made):
        if spec.attributes.get(s.KIND) != s.KIND_WAIT:
            continue
        waiter = str(spec.attributes.get(s.ACTIVITY, ""))
        stretches.setdefault(waiter, []).append((spec.start_ns, spec.end_ns))
        waker = waker_of(spec)
        if waker not in spawners and index not in owners:  # the way back from a job, below it
            waker = span_hex(spec.parent_id)
        edges.add((waiter, waker))
    pairs = {pair for waiter, waker in edges for pair in combinations(_between(waiter, waker, spawners), 2)}
    return {waiter: _Waits(found) for waiter, found in stretches.items()}, pairs


def _between(waiter: str, waker: str, spawners: Mapping[str, str]) -> list[str]:
    """The waiter, and whom it spawned who spawned another and so on down to the waker; or the two alone."""
    chain = [waker]
    while chain[-1] != waiter and chain[-1] in spawners and len(chain) < _DEEPEST:
        chain.append(spawners[chain[-1]])
    return chain[::-1] if chain[-1] == waiter else [waiter, waker]
