"""Who held the workers of pools, and devices: the history of each is put in order once for all requests of a lot."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate

from tracer.records import DeviceLine, Occupancy, Pool

_NEVER_NS = 2**63


class _History:
    def __init__(self, of: Pool | DeviceLine, since_ns: int) -> None:
        self.of = of  # so that its id stays its own
        self.held = sorted(
            (
                one
                for one in of.occupancies.copy()
                if one.start_ns and (one.end_ns > since_ns or not one.end_ns)
            ),
            key=lambda one: one.start_ns,
        )
        self.starts = [one.start_ns for one in self.held]
        # all before an entry had ended by then
        self.ended = list(accumulate((one.end_ns or _NEVER_NS for one in self.held), max))


class PoolPast:
    """What is remembered of the pools since a moment."""

    def __init__(self, since_ns: int = 0) -> None:
        self._since_ns = since_ns
        self._known: dict[int, _History] = {}

    def _of(self, pool: Pool | DeviceLine) -> _History:
        known = self._known.get(id(pool))
        if known is None:
            known = self._known[id(pool)] = _History(pool, self._since_ns)
        return known

    def held(self, pool: Pool | DeviceLine, start_ns: int, end_ns: int) -> list[Occupancy]:
        """Who held a worker, or the device, in a stretch, in order of their beginning; some may have ended before it."""
        known = self._of(pool)
        return known.held[bisect_right(known.ended, start_ns) : bisect_left(known.starts, end_ns)]

    def begun_after(self, pool: Pool, ns: int) -> Iterator[Occupancy]:
        """Who got a worker later than that, the next first."""
        known = self._of(pool)
        for index in range(bisect_right(known.starts, ns), len(known.held)):
            yield known.held[index]
