"""A span to be made, and what is remembered of the loops and pools that it may name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tracer.observed import Attributes
from tracer.records import Callback, Look
from tracer.spans.pool_past import PoolPast

T = TypeVar("T", Callback, Look)


@dataclass(frozen=True, slots=True)
class SpanSpec:
    """A span to be made; times are `perf_counter_ns` readings unless `unix` says otherwise."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int
    start_ns: int
    end_ns: int
    attributes: Attributes
    links: tuple[tuple[int, int], ...] = ()
    error: str = ""
    unix: bool = False
    # a child that reached out of its parent, by what lies between two readings of two clocks, would be taken
    # for a sign of skewed clocks
    not_after_unix_ns: int = 0


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of the loops, by the thread each runs on, in order of time; and of the pools."""

    callbacks: Mapping[int, Sequence[Callback]] = field(default_factory=dict)
    looks: Mapping[int, Sequence[Look]] = field(default_factory=dict)
    pools: PoolPast = field(default_factory=PoolPast)


def overlapping(past: Sequence[T], start_ns: int, end_ns: int) -> Iterable[T]:
    """Those of a time-ordered record (start first, end second) that overlap the stretch."""
    low, high = 0, len(past)
    while low < high:  # first whose end lies after the start
        middle = (low + high) // 2
        if past[middle][1] <= start_ns:
            low = middle + 1
        else:
            high = middle
    while low < len(past) and past[low][0] < end_ns:
        yield past[low]
        low += 1


def span_hex(span_id: int) -> str:
    """A span id as the contract writes it."""
    return f"{span_id:016x}"


def trace_hex(trace_id: int) -> str:
    """A trace id as the contract writes it."""
    return f"{trace_id:032x}"
