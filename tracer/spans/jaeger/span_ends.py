"""Adjusts the ends of a request's spans, so that Jaeger sees adjacent spans as such.

* A span that ends as its sibling begins ends `APART_NS` earlier: Jaeger skips a span that ends in the same
  microsecond as another begins.
* A task whose last act was to wake its waiter ends with that act, and the wait ends before.
* A job ends before its waiter's return, if that is its sibling (`parents.py`).
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from whywait.tracer.spans.cooperative_pause import Pause, rested
from whywait.tracer.spans.pools.shares import Share
from whywait.tracer.spans.span_spec import ACTIVITIES, About, AboutTask, AboutWait, Blocker, SpanSpec

T = TypeVar("T", Blocker, Share)

APART_NS: Final = 1_000  # one tick of Jaeger's clock
_LATER_NS: Final = 2 * APART_NS  # of two ends the later one: start and duration are cut to ticks, each for itself
# how long a task may go on after it woke its waiter, and that was still its last act
LAST_ACT_NS: Final = 50_000


def _wakers(made: Sequence[SpanSpec], pause: Pause) -> list[tuple[int, int]]:
    """The waits that the critical path leaves for their waker, each with that activity's span, by index."""
    at = {
        spec.span_id: index
        for index, spec in enumerate(rested(made, pause))
        if isinstance(spec.about, ACTIVITIES) and not spec.unix
    }
    return [
        (index, at[spec.about.followed_id])
        for index, spec in enumerate(rested(made, pause))
        if isinstance(spec.about, AboutWait) and spec.about.followed_id in at
    ]


def apart(made: Sequence[SpanSpec], parents: Sequence[int], beside: Mapping[int, int], pause: Pause) -> list[int]:
    """Return the end of each span, given the parents, and the returns that are siblings (`beside`) of a job."""
    ends = [spec.end_ns for spec in made]
    wakers = _wakers(made, pause)
    # 1. a task's last act was to wake its waiter
    _end_with_last_act(made, wakers, ends)
    pause()
    # 2. adjacent siblings
    for indices in _siblings(made, parents, pause):
        _part(made, indices, ends, pause)
    # 3. a wait ends before who ended it, and a job before its waiter's way back
    for wait, waker in wakers:
        if abs(ends[waker] - ends[wait]) < _LATER_NS:
            ends[wait] = _not_before_start(made[wait], ends[waker] - _LATER_NS)
    for back, job in beside.items():
        if abs(ends[job] - ends[back]) < _LATER_NS:
            ends[job] = max(ends[back] - _LATER_NS, made[back].start_ns)
    return ends


def _end_with_last_act(made: Sequence[SpanSpec], wakers: Sequence[tuple[int, int]], ends: list[int]) -> None:
    for wait, waker in wakers:
        woke_ns, is_task = made[wait].end_ns, isinstance(made[waker].about, AboutTask)
        if is_task and made[waker].start_ns < woke_ns < ends[waker] <= woke_ns + LAST_ACT_NS:
            ends[waker] = woke_ns


def _part(made: Sequence[SpanSpec], siblings: Sequence[int], ends: list[int], pause: Pause) -> None:
    starts = sorted({made[index].start_ns for index in siblings})
    for index in rested(siblings, pause):
        at = bisect_left(starts, ends[index])
        if at < len(starts) and starts[at] - ends[index] < APART_NS:
            ends[index] = _not_before_start(made[index], starts[at] - APART_NS)


def _siblings(made: Sequence[SpanSpec], parents: Sequence[int], pause: Pause) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    for index, parent_id in enumerate(rested(parents, pause)):
        if not made[index].unix:
            found.setdefault(parent_id, []).append(index)
    return [indices for indices in found.values() if len(indices) > 1]


def _not_before_start(spec: SpanSpec, end_ns: int) -> int:
    return max(end_ns, min(spec.start_ns, spec.end_ns))


def shortened(about: About, was_ns: int, is_ns: int) -> About:
    """The wait, shortened to its span's earlier end; its blockers' shares are no longer, its occupants have all of
    it."""
    if is_ns >= was_ns or not isinstance(about, AboutWait):
        return about
    blockers, shared = about.blockers, about.occupants
    if blockers:
        blockers = _within(blockers, 0, is_ns)
    if shared is not None and shared.named:
        shared = shared._replace(named=_within(shared.named, shared.other_ns, is_ns))
    if blockers is about.blockers and shared is about.occupants:
        return about
    return about._replace(blockers=blockers, occupants=shared)


def _within(ranked: Sequence[T], other_ns: int, length_ns: int) -> list[T]:
    """Reduce the chief share by what all shares exceed the length."""
    excess_ns = max(sum(one.ns for one in ranked) + other_ns - length_ns, 0)
    chief, *others = ranked
    return [chief._replace(ns=max(chief.ns - excess_ns, 0)), *others]
