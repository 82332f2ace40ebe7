"""Where each span of a request ends, so that what stands end to end is seen as such.

* A span that ends as its sibling begins ends `APART_NS` earlier: Jaeger passes by what ends in the same
  microsecond as another begins.
* A task whose last act was to wake its waiter ends with that, and the wait before.
* A job ends before its waiter's way back, where that hangs beside it (`homes.py`).
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final

from whywait.tracer import schema as s
from whywait.tracer.offcpu.attributes import Attributes
from whywait.tracer.spans.cooperative_pause import Pause, rested
from whywait.tracer.spans.jaeger.span_facts import ACTIVITIES, Told
from whywait.tracer.spans.span_spec import SpanSpec, span_hex

APART_NS: Final = 1_000  # one tick of Jaeger's clock
_LATER_NS: Final = (
    2 * APART_NS
)  # of two ends the later one: start and duration are cut to ticks, each for itself
LAST_ACT_NS: Final = (
    50_000  # how long a task may go on after it woke its waiter, and that was still its last act
)


def _wakers(made: Sequence[SpanSpec], told: Told, pause: Pause) -> list[tuple[int, int]]:
    """The waits that the path leaves for who ended them, each with that activity's span, by index."""
    at = {
        span_hex(made[index].span_id): index
        for index, kind in enumerate(rested(told.kinds, pause))
        if kind in ACTIVITIES and not made[index].unix
    }
    return [(index, at[waker]) for index, waker in enumerate(rested(told.wakers, pause)) if waker in at]


def apart(
    made: Sequence[SpanSpec], told: Told, parents: Sequence[int], beside: Mapping[int, int], pause: Pause
) -> list[int]:
    """Return the end of each span, given below which span each hangs, and who came back `beside` a job."""
    ends = [spec.end_ns for spec in made]
    wakers = _wakers(made, told, pause)
    for wait, waker in wakers:
        if told.kinds[waker] == s.KIND_TASK:
            woke_ns = made[wait].end_ns
            if made[waker].start_ns < woke_ns < ends[waker] <= woke_ns + LAST_ACT_NS:
                ends[waker] = woke_ns
    pause()
    siblings: dict[int, list[int]] = {}
    for index, parent_id in enumerate(rested(parents, pause)):
        if not made[index].unix:
            siblings.setdefault(parent_id, []).append(index)
    for indices in siblings.values():
        if len(indices) == 1:
            continue
        starts = sorted({made[index].start_ns for index in indices})
        for index in rested(indices, pause):
            at = bisect_left(starts, ends[index])
            if at < len(starts) and starts[at] - ends[index] < APART_NS:
                ends[index] = _not_before_start(made[index], starts[at] - APART_NS)
    for wait, waker in wakers:
        if abs(ends[waker] - ends[wait]) < _LATER_NS:
            ends[wait] = _not_before_start(made[wait], ends[waker] - _LATER_NS)
    for tile, job in beside.items():
        if abs(ends[job] - ends[tile]) < _LATER_NS:
            ends[job] = max(ends[tile] - _LATER_NS, made[tile].start_ns)
    return ends


def _not_before_start(spec: SpanSpec, end_ns: int) -> int:
    return max(end_ns, min(spec.start_ns, spec.end_ns))


def shortened(attributes: Attributes, was_ns: int, is_ns: int) -> Attributes:
    """Return the attributes of a wait that became shorter.

    What others had of the wait is no longer than the wait; the pool's occupants had all of it.
    """
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
