"""The recent past of loops and pools that a span may name."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, TypeVar

from whywait.tracer.records.background import BackgroundWait
from whywait.tracer.records.loop import Callback, Look
from whywait.tracer.spans.pools.history import PoolPast

T = TypeVar("T", Callback, Look, BackgroundWait)
_END: Final = itemgetter(1)


@dataclass(frozen=True, slots=True)
class Past:
    """The recent past of the loops, by thread, in order of time; of tasks of no request, by id; and of the pools."""

    callbacks: Mapping[int, Sequence[Callback]] = field(default_factory=dict)
    looks: Mapping[int, Sequence[Look]] = field(default_factory=dict)
    pools: PoolPast = field(default_factory=PoolPast)
    background: Mapping[int, Sequence[BackgroundWait]] = field(default_factory=dict)


def overlapping(past: Sequence[T], start_ns: int, end_ns: int) -> Iterable[T]:
    """Return the entries of a time-ordered record (start first, end second) that overlap the stretch."""
    for at in range(_first_after(past, start_ns), len(past)):
        one = past[at]
        if one[0] >= end_ns:
            return
        yield one


def ended_after(past: Sequence[T], ns: int) -> Sequence[T]:
    """Return the entries of such a record that had not ended by then."""
    return past[_first_after(past, ns) :]


def ended_before(past: Sequence[T], ns: int) -> T | None:
    """Return the last entry of such a record that had ended by then; None without one."""
    at = _first_after(past, ns)
    return past[at - 1] if at else None


def _first_after(past: Sequence[T], ns: int) -> int:
    return bisect_right(past, ns, key=_END)
