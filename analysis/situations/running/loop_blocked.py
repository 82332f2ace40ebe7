"""The event loop is blocked: by few requests for many others, or by work of no request."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Pattern, Situation

FACTOR: Final = 2  # blocked requests per blocking request, at least
MOST_HOLDERS: Final = 3


@dataclass(frozen=True, slots=True)
class LoopHeld:
    """Work of no request, such as a callback or a background task, that blocked the loop; told where nothing else is."""

    kind: ClassVar = Situation.LOOP_HELD
    function: str
    file: str
    line: int | None
    times: int
    longest_ns: int


def loop_blocked(group: Group) -> Iterator[Pattern | LoopHeld]:
    """Yield the counts of traced requests where the blocked are far more than the blockers, and what else held the loop."""
    waits = group.of(Cause.LOOP_BUSY)
    waits = waits[waits["culprit_trace_id"] != ""]
    blockers, blocked = waits["culprit_trace_id"].nunique(), waits["request_id"].nunique()
    if blockers and blocked > FACTOR * blockers:
        yield Pattern(Situation.LOOP_BLOCKED, None, {"blockers": blockers, "blocked": blocked})
    if not group.significant:
        yield from (LoopHeld(*row) for row in group.held.head(MOST_HOLDERS).itertuples(index=False))
