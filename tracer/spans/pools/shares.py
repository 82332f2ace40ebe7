"""Shares of a wait among the occupants of the workers, or of the device. Pure."""

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

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
    return _merged(shares, lambda one: (one.trace_id, one.name))


def by_name(shares: Iterable[Share]) -> list[Share]:
    """Merge the shares of jobs with one name, under the longest of them."""
    return _merged(shares, lambda one: one.name)


def _merged(shares: Iterable[Share], key_of: Callable[[Occupancy], Hashable]) -> list[Share]:
    chief: dict[Hashable, Share] = {}
    for share in shares:  # longest first
        key = key_of(share.occupant)
        known = chief.get(key)
        chief[key] = share if known is None else Share(known.occupant, known.ns + share.ns)
    return sorted(chief.values(), key=lambda share: -share.ns)
