"""Finds the phases of libraries that become spans, their parents, and the sums of the others. Pure.

Within one activity, a span inside an adapter's phase with the same recorded parent becomes its child:

    run        |------------------------------------------------------|
    predict       |------------------------------------------------|     parent: run
      transform    |-------------|                                       parent: run, so now: predict
      user's phase                  |-------------------------|          parent: run, so now: predict
        compute                       |--------------------|             parent: the user's phase
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from whywait.tracer.records.request import Phase
from whywait.tracer.schema import PHASE_CLIENT


@dataclass(slots=True)
class Settled:
    """The phases that become spans, and the sums of those too short, by word, per phase around them."""

    kept: list[Phase] = field(default_factory=list)
    of_activity: dict[int, dict[str, int]] = field(default_factory=dict)  # by id(activity)


def settle(phases: Sequence[Phase], resolution_ns: int) -> Settled:
    """Return the phases with their parents, without those of adapters below the resolution, unless they waited for a
    device, or made a client, which is told by its number."""
    settled = Settled()
    by_activity: dict[int, list[Phase]] = {}
    for phase in phases:
        if phase.life:
            settled.kept.append(phase)
        else:
            by_activity.setdefault(id(phase.activity), []).append(phase)
    for key, own in by_activity.items():
        kept, sums = _settle_one(own, resolution_ns)
        settled.kept += kept
        if sums:
            settled.of_activity[key] = sums
    return settled


def _settle_one(own: list[Phase], resolution_ns: int) -> tuple[list[Phase], Counter[str]]:
    if not any(map(attrgetter("word"), own)):
        return own, Counter()
    # phases are appended at their end, so of two equal ones the outer is the later
    order = sorted(range(len(own)), key=lambda at: (own[at].start_ns, -own[at].end_ns, -at))
    around = _nested(own, order)
    short = {
        at
        for at in order
        if own[at].word not in ("", PHASE_CLIENT)
        and own[at].device is None
        and own[at].end_ns - own[at].start_ns < resolution_ns
    }
    sums, of_activity = _sums(own, order, around, short)
    kept = [
        phase._replace(parent_id=_parent(own, at, around, short), small=sums[at])
        for at, phase in enumerate(own)
        if at not in short
    ]
    return kept, of_activity


def _sums(
    own: Sequence[Phase], order: Sequence[int], around: dict[int, int], short: set[int]
) -> tuple[dict[int, Counter[str]], Counter[str]]:
    """The time in short phases by word: of each phase, and of those in no other."""
    inside_ns: Counter[int] = Counter()
    for at, outer in around.items():
        inside_ns[outer] += own[at].end_ns - own[at].start_ns
    sums = {at: Counter(own[at].small) for at in order}
    of_activity: Counter[str] = Counter()
    for at in reversed(order):  # what is inside first
        if at in short:
            phase = own[at]
            own_ns = phase.end_ns - phase.start_ns - inside_ns[at] - sum((phase.small or {}).values())
            into = sums[around[at]] if at in around else of_activity
            into[phase.word] += max(own_ns, 0)
            into.update(sums[at])
    return sums, of_activity


def _nested(own: Sequence[Phase], order: Sequence[int]) -> dict[int, int]:
    """Inside which other each phase lies, by index; those that lie in none are left out."""
    around: dict[int, int] = {}
    stack: list[int] = []
    for at in order:
        while stack and own[stack[-1]].end_ns < own[at].end_ns:
            stack.pop()
        if stack:
            around[at] = stack[-1]
        stack.append(at)
    return around


def _parent(own: Sequence[Phase], at: int, around: dict[int, int], short: set[int]) -> int:
    phase = own[at]
    while at in around:
        at = around[at]
        outer = own[at]
        if not outer.word or outer.parent_id != phase.parent_id:
            break
        if at not in short:
            return outer.span_id
    return phase.parent_id
