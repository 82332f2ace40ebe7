"""What the spans of one request say of each other, read from their attributes once for all who ask."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from whywait.tracer import schema as s
from whywait.tracer.spans.cooperative_pause import Pause, rested
from whywait.tracer.spans.span_spec import SpanSpec, span_hex

ACTIVITIES: Final = (s.KIND_TASK, s.KIND_JOB)
_EDGES: Final = (s.WAIT_AWAIT, s.WAIT_POOL_SHUTDOWN)


@dataclass(slots=True)
class Told:
    """By index of the span; activities are named by their span as hex."""

    kinds: list[str] = field(default_factory=list)  # "" where it has none
    activities: list[str] = field(default_factory=list)  # that it belongs to, or is
    wakers: list[str] = field(
        default_factory=list
    )  # who ended the wait, where the path goes on in it; else ""
    roots: set[int] = field(default_factory=set)
    spawners: dict[str, str] = field(default_factory=dict)  # of each activity; "" where it has none
    resolution_ns: int = 0  # how long a wait of the request must be to have a span; 0 where no root says


def read(made: Sequence[SpanSpec], pause: Pause) -> Told:
    """Return what the spans say."""
    told = Told()
    for index, spec in enumerate(rested(made, pause)):
        attributes: dict[str, Any] = spec.attributes
        kind = attributes.get(s.KIND, "")
        told.kinds.append(kind)
        told.activities.append(attributes.get(s.ACTIVITY, ""))
        told.wakers.append(_waker(attributes) if kind == s.KIND_WAIT else "")
        if kind in ACTIVITIES:
            told.spawners[span_hex(spec.span_id)] = attributes.get(s.SPAWNED_BY, "")
        if attributes.get(s.ROOT):
            told.roots.add(index)
            told.resolution_ns = max(told.resolution_ns, attributes.get(s.RESOLUTION_NS, 0))
    return told


def _waker(attributes: dict[str, Any]) -> str:
    if attributes[s.WAIT] not in _EDGES:
        return ""
    if s.BLOCKER_NS in attributes:  # who gave back a lock delayed the wait, and did nothing for it
        return ""
    waker: str = attributes.get(s.WAKER_SPAN_ID, "")
    return waker
