"""Shares of a wait among the occupants of the workers, or of the device. Pure."""

from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

from whywait.tracer.records.gil_holder import summed
from whywait.tracer.records.occupancy import Occupancy


class Share(NamedTuple):
    """One occupant's share of a wait."""

    occupant: Occupancy
    ns: int


def parts(length_ns: int, count: int) -> list[int]:
    """A length divided among some, to the nanosecond."""
    if not count:
        return []
    part, rest = divmod(length_ns, count)
    return [part + 1] * rest + [part] * (count - rest)


def by_trace(shares: Iterable[Share]) -> list[Share]:
    """Merge the shares of jobs with one name in one trace, under the longest of them."""
    return [Share(*one) for one in summed(shares, attrgetter("trace_id", "name"))]


def by_name(shares: Iterable[Share]) -> list[Share]:
    """Merge the shares of jobs with one name, under the longest of them."""
    return [Share(*one) for one in summed(shares, attrgetter("name"))]
