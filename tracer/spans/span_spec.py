"""A span to be made, and what is remembered of the loops and pools that it may name."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Final, Literal, NamedTuple, TypeVar

from whywait.tracer.offcpu.attributes import Attributes
from whywait.tracer.records.loop import Callback, Look
from whywait.tracer.spans.pools.history import PoolPast

T = TypeVar("T", Callback, Look)
Kind = Literal["internal", "producer", "consumer"]  # of OpenTelemetry's span kinds those that are given

_END: Final = itemgetter(1)


class SpanSpec(NamedTuple):
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
    kind: Kind = "internal"


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of the loops, by the thread each runs on, in order of time; and of the pools."""

    callbacks: Mapping[int, Sequence[Callback]] = field(default_factory=dict)
    looks: Mapping[int, Sequence[Look]] = field(default_factory=dict)
    pools: PoolPast = field(default_factory=PoolPast)


def overlapping(past: Sequence[T], start_ns: int, end_ns: int) -> Iterable[T]:
    """Those of a time-ordered record (start first, end second) that overlap the stretch."""
    for at in range(_first_after(past, start_ns), len(past)):
        one = past[at]
        if one[0] >= end_ns:
            return
        yield one


def ended_after(past: Sequence[T], ns: int) -> Sequence[T]:
    """Those of such a record that had not ended by then."""
    return past[_first_after(past, ns) :]


def _first_after(past: Sequence[T], ns: int) -> int:
    return bisect_right(past, ns, key=_END)


@lru_cache(maxsize=4_096)  # an activity's is asked for with each of its spans
def span_hex(span_id: int) -> str:
    """A span id as the contract writes it."""
    return f"{span_id:016x}"


def trace_hex(trace_id: int) -> str:
    """A trace id as the contract writes it."""
    return f"{trace_id:032x}"
