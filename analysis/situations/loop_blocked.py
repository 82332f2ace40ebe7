"""Few requests block the event loop for many others."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Situation

FACTOR: Final = 2  # blocked requests per blocking request, at least


@dataclass(frozen=True, slots=True)
class LoopBlocked:
    """How many requests blocked the loop, and how many waited for it."""

    kind: ClassVar = Situation.LOOP_BLOCKED
    blockers: int
    blocked: int


def loop_blocked(group: Group) -> Iterator[LoopBlocked]:
    """Yield the counts of traced requests where the blocked are far more than the blockers."""
    waits = group.of(Cause.LOOP_BUSY)
    waits = waits[waits["culprit_trace_id"] != ""]
    blockers, blocked = waits["culprit_trace_id"].nunique(), waits["request_id"].nunique()
    if blockers and blocked > FACTOR * blockers:
        yield LoopBlocked(blockers, blocked)
