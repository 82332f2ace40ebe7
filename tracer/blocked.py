"""Pure: divides time that a thread was blocked, exactly known, by what samples saw it blocked in.

A short stretch has few samples, or none. It is then judged by its own and by those of earlier
stretches of the same kind of work, which count for no more than `_PRIOR` samples of its own
(empirical Bayes with a beta prior).
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from math import sqrt
from typing import Final, NamedTuple

from tracer.sampler.ring import CALL, FUTEX, GIL, POLL, RUNNING, SLEEP

_PRIOR: Final = 8.0
_FEWEST: Final = 2.0  # samples of its own or borrowed, below which nothing is said
_MOST_REMEMBERED: Final = 4_000
_MOST_KINDS: Final = 2_000
_CALLS: Final = (SLEEP, POLL, CALL)


class Split(NamedTuple):
    """Parts of a stretch; what is left of it is not explained by samples."""

    gil_ns: int
    lock_ns: int  # a futex that is not the GIL's: a lock, or threads of a native pool
    call_ns: int  # another system call
    samples: int  # of the stretch itself
    error_ns: int  # one standard error of gil_ns
    running_ns: int  # the thread ran, or could have: where its CPU time was not taken out before
    enough: bool  # whether there were samples enough to say anything


NOTHING: Final = Split(0, 0, 0, 0, 0, 0, False)


class Memory:
    """What was seen of each kind of work so far; recent samples count more."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, Counter[int]] = {}

    def split(self, kind: Hashable, blocked_ns: int, states: Mapping[int, int], *, running: bool) -> Split:
        """Divides `blocked_ns` by the states seen, and remembers them.

        `running` says that the stretch was not freed of its CPU time, so that samples of a running
        thread stand for a part of it too.
        """
        own = Counter({state: count for state, count in states.items() if state or running})
        known = self._kinds.get(kind, Counter())
        result = _split(blocked_ns, own, known)
        self._remember(kind, own)
        return result

    def _remember(self, kind: Hashable, states: "Counter[int]") -> None:
        if not states:
            return
        known = self._kinds.pop(kind, None) or Counter()
        if len(self._kinds) >= _MOST_KINDS:
            self._kinds.pop(next(iter(self._kinds)))
        known.update(states)
        if known.total() > _MOST_REMEMBERED:
            known = Counter({state: count // 2 for state, count in known.items()})
        self._kinds[kind] = known


def _split(blocked_ns: int, own: "Counter[int]", known: "Counter[int]") -> Split:
    seen, remembered = own.total(), known.total()
    borrowed = min(_PRIOR, float(remembered))
    weight = seen + borrowed
    if blocked_ns <= 0:
        return Split(0, 0, 0, seen, 0, 0, weight >= _FEWEST)
    if weight < _FEWEST:
        return NOTHING._replace(samples=seen)
    scale = borrowed / remembered if remembered else 0.0

    def part(*states: int) -> float:
        return sum(own[state] + known[state] * scale for state in states) / weight

    gil = part(GIL)
    careful = (gil * weight + 0.5) / (weight + 1)  # no certainty from a few samples that agree
    return Split(
        gil_ns=int(blocked_ns * gil),
        lock_ns=int(blocked_ns * part(FUTEX)),
        call_ns=int(blocked_ns * part(*_CALLS)),
        samples=seen,
        error_ns=int(blocked_ns * sqrt(careful * (1 - careful) / weight)),
        running_ns=int(blocked_ns * part(RUNNING)),
        enough=True,
    )
