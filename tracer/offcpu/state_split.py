"""Divides a thread's exactly known blocked time by the states in samples. Pure. Few samples are joined by those of
earlier stretches of the same kind, for no more than `_PRIOR` (empirical Bayes, beta prior)."""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Final, NamedTuple

from whywait.tracer.sampler.shared.thread_records import CALL, FUTEX, GIL, POLL, RUNNING, SLEEP

_PRIOR: Final = 8.0
_FEWEST: Final = 2.0  # samples, its own or of earlier work: with fewer there is no estimate
_MOST_REMEMBERED: Final = 4_000
_MOST_KINDS: Final = 2_000
_RETURN_NS: Final = 50_000  # upper bound of a thread's return from a wait
_PARTS: Final = (RUNNING, GIL, FUTEX, SLEEP, POLL, CALL)


class Split(NamedTuple):
    """Parts of a stretch; samples do not explain the rest."""

    gil_ns: int
    lock_ns: int  # a futex that is not the GIL's: a lock, or threads of a native pool
    call_ns: int  # another system call
    samples: int  # of the stretch itself
    error_ns: int  # standard error of gil_ns
    running_ns: int  # the thread was on CPU or runnable, if its CPU time was not subtracted before
    enough: bool  # whether there were enough samples for an estimate


@dataclass(slots=True)
class _Known:
    states: Counter[int] = field(default_factory=Counter)
    total: int = 0

    def add(self, states: Mapping[int, int]) -> None:
        self.states.update(states)
        if self.states.total() > _MOST_REMEMBERED:
            self.states = Counter({state: count // 2 for state, count in self.states.items()})
        self.total = self.states.total()


_NEW: Final = _Known()


class Memory:
    """Samples of each kind of work so far; recent ones count more."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, _Known] = {}

    def split(self, kind: Hashable, blocked_ns: int, states: Mapping[int, int], *, running: bool) -> Split:
        """Divide `blocked_ns` by the sampled states, and store them. `running`: the CPU time is still in it, so that
        samples of a running thread count too."""
        own = states if running else {state: count for state, count in states.items() if state != RUNNING}
        known = self._kinds.get(kind, _NEW)
        result = _split(blocked_ns, own, known)
        if own:
            self._kind(kind, known).add(own)
        return result

    def share(self, kind: Hashable, *states: int) -> float:
        """Return the recent share of samples of this kind of work in one of these states; 0 without samples."""
        known = self._kinds.get(kind, _NEW)
        return sum(map(known.states.__getitem__, states)) / max(known.total, 1)

    def remember(self, kind: Hashable, states: Mapping[int, int]) -> None:
        """Store the samples of a stretch that is divided by other means."""
        if states:
            self._kind(kind, self._kinds.get(kind, _NEW)).add(states)

    def _kind(self, kind: Hashable, known: _Known) -> _Known:
        """The record of the kind; the least recently used one is removed first."""
        is_full = len(self._kinds) >= _MOST_KINDS
        if known is _NEW:
            known = self._kinds[kind] = _Known()
            if is_full:
                self._kinds.pop(next(iter(self._kinds)))
        elif is_full:  # moving it needs its hash, and that of code is slow
            self._kinds[kind] = self._kinds.pop(kind)
        return known


def _split(blocked_ns: int, own: Mapping[int, int], known: _Known) -> Split:
    seen, remembered = sum(own.values()), known.total
    borrowed = min(_PRIOR, float(remembered))
    weight = seen + borrowed
    enough = weight >= _FEWEST
    if blocked_ns <= 0 or not enough:
        return Split(0, 0, 0, seen, 0, 0, enough)
    scale = borrowed / remembered if remembered else 0.0
    running, gil, futex, sleep, poll, call = [own.get(state, 0) + known.states[state] * scale for state in _PARTS]
    gil /= weight
    careful = (gil * weight + 0.5) / (weight + 1)  # a few equal samples are no certainty
    return Split(
        int(blocked_ns * gil), int(blocked_ns * (futex / weight)),
        int(blocked_ns * ((sleep + poll + call) / weight)), seen,
        int(blocked_ns * sqrt(careful * (1 - careful) / weight)), int(blocked_ns * (running / weight)),
        enough,
    )  # fmt: skip


def returned(split: Split) -> Split:
    """The parts of a thread's return from a wait, with known run-queue time: it is on CPU no longer than a return
    takes, and was otherwise between two rounds of its wait for the GIL."""
    more_ns = split.running_ns - _RETURN_NS
    if more_ns <= 0 or not split.gil_ns:
        return split
    return split._replace(running_ns=_RETURN_NS, gil_ns=split.gil_ns + more_ns)


def beside_queue(states: Mapping[int, int], queued_ns: int, wall_ns: int) -> Mapping[int, int]:
    """The samples of a stretch without those in the run queue, which is `queued_ns` of it."""
    running = states.get(RUNNING, 0)
    if not running or wall_ns <= 0:
        return states
    queued = min(round(sum(states.values()) * queued_ns / wall_ns), running)
    return {**states, RUNNING: running - queued} if queued else states
