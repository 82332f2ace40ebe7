"""The occupants of pools and devices over time: each history is sorted once per batch of requests."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate, islice
from operator import attrgetter, itemgetter
from typing import Final, TypeAlias

from whywait.tracer.records.occupancy import DeviceLine, Occupancy
from whywait.tracer.records.request import Pool
from whywait.tracer.spans.cooperative_pause import Pause, no_pause
from whywait.tracer.spans.pools.occupant_shares import PoolShares
from whywait.tracer.spans.pools.shares import Share

_NEVER_NS = 2**63
_MOST_FREE = 32  # stretches of free workers that are looked at for one wait
_START_NS = attrgetter("start_ns")
Window: TypeAlias = tuple[int, int]
_ALWAYS: Final[Window] = (0, _NEVER_NS)


class _History:
    def __init__(self, of: Pool | DeviceLine, since_ns: int, pause: Pause) -> None:
        self._pause = pause
        self.of = of  # so that its id stays its own
        lately = (one for one in of.occupancies.copy() if one.end_ns > since_ns or not one.end_ns)
        self.held = sorted(filter(_START_NS, lately), key=_START_NS)
        self.starts = list(map(_START_NS, self.held))
        # all before an entry had ended by then
        self.ended = list(accumulate((one.end_ns or _NEVER_NS for one in self.held), max))
        self.latest: dict[int, Occupancy] = {one.span_id: one for one in self.held}
        self._shares: dict[Window, PoolShares] = {}

    def during(self, start_ns: int, end_ns: int) -> list[Occupancy]:
        """Return the occupants in a stretch, sorted by start; some may have ended before it."""
        return self.held[bisect_right(self.ended, start_ns) : bisect_left(self.starts, end_ns)]

    def shares(self, window: Window) -> PoolShares:
        known = self._shares.get(window)
        if known is None:
            known = self._shares[window] = PoolShares(self.during(*window), self._pause)
        return known


class PoolPast:
    """The history of the pools since the first of the `windows` of requests, which are looked at as one where they
    overlap: of the time between two, in which many may have worked, nothing is divided. `pause` is called periodically."""

    def __init__(self, windows: Iterable[Window] = (_ALWAYS,), pause: Pause = no_pause) -> None:
        self._pause = pause
        self._windows = _merged(windows)
        self._since_ns = self._windows[0][0]
        self._known: dict[int, _History] = {}

    def _of(self, pool: Pool | DeviceLine) -> _History:
        known = self._known.get(id(pool))
        if known is None:
            known = self._known[id(pool)] = _History(pool, self._since_ns, self._pause)
        return known

    def held(self, pool: Pool | DeviceLine, start_ns: int, end_ns: int) -> list[Occupancy]:
        """Return the occupants in a stretch, sorted by start; some may have ended before it."""
        return self._of(pool).during(start_ns, end_ns)

    def _window(self, start_ns: int, end_ns: int) -> Window:
        """Return the window in which a stretch lies; the stretch itself, where a job outlived its request."""
        at = bisect_right(self._windows, start_ns, key=itemgetter(0)) - 1
        return self._windows[at] if at >= 0 and end_ns <= self._windows[at][1] else (start_ns, end_ns)

    def shares(self, pool: Pool | DeviceLine, start_ns: int, end_ns: int, own_id: int = 0) -> tuple[list[Share], int]:
        """Return the occupants' shares of a wait for a worker, and the share without a known occupant; longest first.
        Many occupants are merged by name and trace. `own_id` is the waiting job's, which is left out."""
        known = self._of(pool)
        own = known.latest.get(own_id) if own_id else None
        if own is not None and own.start_ns < end_ns:  # it occupied another worker of the pool meanwhile
            others = [one for one in self.held(pool, start_ns, end_ns) if one.span_id != own_id]
            return PoolShares(others, self._pause).between(start_ns, end_ns)
        return known.shares(self._window(start_ns, end_ns)).between(start_ns, end_ns)

    def full_until(self, pool: Pool, start_ns: int, end_ns: int) -> int:
        """Return the last moment of a stretch at which all workers of a pool had a job; its start without one.

        If some jobs are no longer known, all workers count as busy.
        """
        if pool.of_processes or pool.size <= 1 or start_ns >= end_ns:
            return end_ns
        remembered = pool.occupancies
        if len(remembered) == remembered.maxlen and remembered[0].start_ns > start_ns:
            return end_ns
        return self._of(pool).shares(self._window(start_ns, end_ns)).held_until(pool.size, start_ns, end_ns)

    def free(self, pool: Pool, start_ns: int, end_ns: int) -> list[tuple[int, int, int]]:
        """Return which worker was free in a stretch, from when to when: at each moment the one that began a job next.
        One that works meanwhile is none, though it began a job earlier."""
        known = self._of(pool)
        busy_until = {one.thread_id: one.end_ns or _NEVER_NS for one in self.held(pool, start_ns, start_ns + 1)}
        found: list[tuple[int, int, int]] = []
        at = start_ns
        for one in islice(known.held, bisect_right(known.starts, start_ns), None):
            if at >= end_ns or len(found) == _MOST_FREE:
                break
            if busy_until.get(one.thread_id, 0) <= at < one.start_ns:
                found.append((one.thread_id, at, min(one.start_ns, end_ns)))
                at = one.start_ns
            busy_until[one.thread_id] = one.end_ns or _NEVER_NS
        return found


def _merged(windows: Iterable[Window]) -> list[Window]:
    merged: list[Window] = []
    for start_ns, end_ns in sorted(windows):
        if merged and start_ns <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end_ns)
        else:
            merged.append((start_ns, end_ns))
    return merged
