"""Divides a wait among the occupants of the workers, or of the device. Pure."""

from bisect import insort
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

from whywait.tracer.records.occupancy import Occupancy


class Share(NamedTuple):
    """One occupant's share of a wait."""

    occupant: Occupancy
    ns: int


def occupant_shares(
    start_ns: int, end_ns: int, occupancies: Iterable[Occupancy], exclude_span_id: int
) -> tuple[list[Share], int]:
    """Return the occupants' shares from `start_ns` to `end_ns`: each instant is divided among its occupants.

    Returns the shares, longest first, and the rest without a known occupant; together they sum to the wait.
    """
    held = [
        (max(one.start_ns, start_ns), min(one.end_ns or end_ns, end_ns), one)
        for one in occupancies
        if 0 < one.start_ns < end_ns and not 0 < one.end_ns <= start_ns and not one.span_id == exclude_span_id != 0
    ]
    shares = _divided([(begin, end) for begin, end, _ in held], start_ns, end_ns)
    ranked = [Share(held[index][2], ns) for index, ns in shares.items()]
    return sorted(ranked, key=lambda share: -share.ns), end_ns - start_ns - sum(shares.values())


def _divided(held: Sequence[tuple[int, int]], start_ns: int, end_ns: int) -> dict[int, int]:
    borders = sorted({start_ns, end_ns, *chain.from_iterable(held)})
    coming = sorted(range(len(held)), key=lambda index: held[index][0], reverse=True)
    active: list[int] = []  # few: as many as there are workers
    shares: dict[int, int] = {}
    for begin, end in pairwise(borders):
        while coming and held[coming[-1]][0] <= begin:
            insort(active, coming.pop())
        active = [index for index in active if held[index][1] > begin]
        for index, ns in zip(active, parts(end - begin, len(active)), strict=True):
            shares[index] = shares.get(index, 0) + ns
    return shares


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
