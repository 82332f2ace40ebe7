"""On which CPUs threads and processes may run. Part of the sampler's process."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress

_MOST = 1_024  # remembered


class Places:
    """Asks the system, and remembers the answers: of one that is gone it cannot be asked any more."""

    def __init__(self, affinity: "Callable[[int], Iterable[int]] | None" = None) -> None:
        self._affinity = affinity or os.sched_getaffinity
        self._seen: dict[tuple[int, int], frozenset[int]] = {}  # in the order in which they were asked last

    def of(self, number: int, started: int = 0, *, ended: bool = False) -> "frozenset[int]":
        """The CPUs of a thread or a process; of one that is gone those of when it was asked last, empty where it
        never was. When a process was started tells it from a later one of the same number."""
        key = (number, started)
        place = self._seen.pop(key, frozenset())
        if not ended:
            with suppress(OSError):
                place = frozenset(self._affinity(number))
        if place:
            self._seen[key] = place
        if len(self._seen) > _MOST:
            del self._seen[next(iter(self._seen))]
        return place
