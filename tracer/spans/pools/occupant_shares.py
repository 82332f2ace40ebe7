"""The occupants' shares of a wait: each instant is divided among its occupants, once for all waiters. Pure.

A job that queues behind hundreds waits for nearly all that the next one waits for:

    held        |--1--|----2----|--3--|---4---|--5--|
    wait           |~~~~~~~~~~~~~~~~~~~~~~|              ends within 4: a part of 1, all of 2 and 3, a part of 4
    wait             |~~~~~~~~~~~~~~~~~~~~~~~~~~|

So the cumulative shares are stored at each border. For a wait only the two instants at its ends are divided again.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Final

from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.schema import OCCUPANT_LIMIT
from whywait.tracer.spans.cooperative_pause import Pause, no_pause, rested
from whywait.tracer.spans.pools.shares import Share, parts

_NEVER_NS: Final = 2**63
_START_NS: Final[Callable[[Occupancy], int]] = attrgetter("start_ns")


class PoolShares:
    """The shares of one pool; `held` is sorted by start."""

    def __init__(self, held: Sequence[Occupancy], pause: Pause = no_pause) -> None:
        ends = [one.end_ns or _NEVER_NS for one in held]
        lasted = [(one, end_ns) for one, end_ns in zip(held, ends, strict=True) if one.start_ns < end_ns]
        self._held = [one for one, _ in lasted]
        self._starts = list(map(_START_NS, self._held))
        self._borders = sorted({*map(_START_NS, held), *ends})
        self._active: list[list[int]] = []  # the occupants from each border to the next
        self._until: list[list[int]] = []  # the cumulative share of each of them by then
        self._whole = [0] * len(self._held)  # the total share of each
        self._groups = [(one.trace_id, one.name) for one in self._held]
        self._divide([end_ns for _, end_ns in lasted], pause)

    def _divide(self, ends: Sequence[int], pause: Pause) -> None:
        active: list[int] = []
        coming = 0
        for begin, end in pairwise(rested(self._borders, pause)):
            active = [index for index in active if ends[index] > begin]
            while coming < len(self._starts) and self._starts[coming] <= begin:
                insort(active, coming)
                coming += 1
            for index, ns in zip(active, parts(end - begin, len(active)), strict=True):
                self._whole[index] += ns
            self._active.append(active)
            self._until.append([self._whole[index] for index in active])

    def between(self, start_ns: int, end_ns: int) -> tuple[list[Share], int]:
        """Return the occupants' shares of a stretch, and the rest without one; longest first.

        If there are more than a span can name, the jobs of one name in one trace are merged, under the longest.
        """
        indices, shares = self._shares(start_ns, end_ns)
        other_ns = end_ns - start_ns - sum(shares)
        if len(indices) > OCCUPANT_LIMIT:
            return self._by_group(indices, shares), other_ns
        found = [Share(self._held[index], ns) for index, ns in zip(indices, shares, strict=True)]
        return sorted(found, key=lambda share: -share.ns), other_ns

    def held_until(self, workers: int, start_ns: int, end_ns: int) -> int:
        """Return the last moment of a stretch with this many workers occupied; its start without one."""
        at = bisect_left(self._borders, end_ns) - 1
        while at >= 0 and (at + 1 == len(self._borders) or self._borders[at + 1] > start_ns):
            if len(self._active_from(at)) >= workers:
                return min(self._borders[at + 1], end_ns)
            at -= 1
        return start_ns

    def _shares(self, start_ns: int, end_ns: int) -> tuple[list[int], list[int]]:
        """The occupants with a share, sorted by start, and their shares."""
        first = bisect_right(self._borders, start_ns) - 1
        last = bisect_left(self._borders, end_ns) - 1
        at_start, at_end = self._active_from(first), self._active_from(last)
        if first == last:
            return at_start, parts(end_ns - start_ns, len(at_start))
        begun, ended = bisect_left(self._starts, start_ns), bisect_left(self._starts, end_ns)
        cut = self._cut(last, at_end, end_ns)
        before = [index for index in at_start if index < begun]
        left = parts(self._borders[first + 1] - start_ns, len(at_start))
        shares = [
            cut.get(index, self._whole[index]) - had_ns + left_ns
            for index, had_ns, left_ns in zip(before, self._until[first] if before else (), left, strict=False)
        ]
        since = self._whole[begun:ended]
        for index, ns in cut.items():
            if index >= begun:
                since[index - begun] = ns
        return [*before, *range(begun, ended)], [*shares, *since]

    def _active_from(self, border: int) -> list[int]:
        return self._active[border] if 0 <= border < len(self._active) else []

    def _cut(self, border: int, active: Sequence[int], end_ns: int) -> dict[int, int]:
        """The cumulative shares of those active from a border on, at a moment before the next."""
        if not active:
            return {}
        begin, end = self._borders[border], self._borders[border + 1]
        found = zip(
            active, self._until[border], parts(end - begin, len(active)),
            parts(end_ns - begin, len(active)), strict=True,
        )  # fmt: skip
        return {index: until_ns - all_ns + part_ns for index, until_ns, all_ns, part_ns in found}

    def _by_group(self, indices: Iterable[int], shares: Iterable[int]) -> list[Share]:
        sums: dict[tuple[int, str], int] = {}
        # the longest share, and whose; the first of equal ones
        chief: dict[tuple[int, str], tuple[int, int]] = {}
        for index, ns in zip(indices, shares, strict=True):
            group = self._groups[index]
            known = sums.get(group)
            if known is None:
                sums[group], chief[group] = ns, (-ns, index)
            else:
                sums[group] = known + ns
                if -ns < chief[group][0]:
                    chief[group] = -ns, index
        ranked = sorted(sums, key=lambda group: (-sums[group], chief[group]))
        return [Share(self._held[chief[group][1]], sums[group]) for group in ranked]
