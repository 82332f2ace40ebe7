"""Pure: divides time that a thread was blocked, exactly known, by what samples saw it blocked in.

A short stretch has few samples, or none. It is then judged by its own and by those of earlier
stretches of the same kind of work, which count for no more than `_PRIOR` samples of its own
(empirical Bayes with a beta prior).
"""

from collections.abc import Hashable, Mapping
from math import sqrt
from typing import Final, NamedTuple

from whywait.tracer.sampler.shared.thread_records import CALL, FUTEX, GIL, POLL, RUNNING, SLEEP

_PRIOR: Final = 8.0
_FEWEST: Final = 2.0  # samples of its own or borrowed, below which nothing is said
_MOST_REMEMBERED: Final = 4_000
_MOST_KINDS: Final = 2_000
_RETURN_NS: Final = 50_000  # what it takes a thread to return from a wait, at most
_PARTS: Final = (RUNNING, GIL, FUTEX, SLEEP, POLL, CALL)


class Split(NamedTuple):
    """Parts of a stretch; what is left of it is not explained by samples."""

    gil_ns: int
    lock_ns: int  # a futex that is not the GIL's: a lock, or threads of a native pool
    call_ns: int  # another system call
    samples: int  # of the stretch itself
    error_ns: int  # one standard error of gil_ns
    running_ns: int  # the thread ran, or could have: where its CPU time was not taken out before
    enough: bool  # whether there were samples enough to say anything


class _Known:
    """What was seen of one kind of work."""

    __slots__ = ("states", "total")

    def __init__(self) -> None:
        self.states: dict[int, int] = {}
        self.total = 0

    def add(self, states: Mapping[int, int]) -> None:
        for state, count in states.items():
            self.states[state] = self.states.get(state, 0) + count
        self.total = sum(self.states.values())
        if self.total > _MOST_REMEMBERED:
            self.states = {state: count // 2 for state, count in self.states.items()}
            self.total = sum(self.states.values())


_NEW: Final = _Known()


class Memory:
    """What was seen of each kind of work so far; recent samples count more."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, _Known] = {}

    def split(self, kind: Hashable, blocked_ns: int, states: Mapping[int, int], *, running: bool) -> Split:
        """Divides `blocked_ns` by the states seen, and remembers them.

        `running` says that the stretch was not freed of its CPU time, so that samples of a running
        thread stand for a part of it too.
        """
        own = states if running else {state: count for state, count in states.items() if state != RUNNING}
        known = self._kinds.get(kind, _NEW)
        result = _split(blocked_ns, own, known)
        if own:
            self._kind(kind, known).add(own)
        return result

    def share(self, kind: Hashable, *states: int) -> float:
        """Which part of the samples of work of this kind found it in one of these states, of late; 0 where none was."""
        known = self._kinds.get(kind, _NEW)
        return sum(known.states.get(state, 0) for state in states) / max(known.total, 1)

    def remember(self, kind: Hashable, states: Mapping[int, int]) -> None:
        """Takes in what was seen of a stretch that is divided by other means."""
        if states:
            self._kind(kind, self._kinds.get(kind, _NEW)).add(states)

    def _kind(self, kind: Hashable, known: _Known) -> _Known:
        """What is known of the kind, to add to it: the latest that was asked for stays the longest."""
        is_full = len(self._kinds) >= _MOST_KINDS
        if known is _NEW:
            known = self._kinds[kind] = _Known()
            if is_full:
                self._kinds.pop(next(iter(self._kinds)))
        elif is_full:  # to find it again takes its hash, and that of code is slow
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
    running, gil, futex, sleep, poll, call = [
        own.get(state, 0) + known.states.get(state, 0) * scale for state in _PARTS
    ]
    gil /= weight
    careful = (gil * weight + 0.5) / (weight + 1)  # no certainty from a few samples that agree
    return Split(
        int(blocked_ns * gil), int(blocked_ns * (futex / weight)),
        int(blocked_ns * ((sleep + poll + call) / weight)), seen,
        int(blocked_ns * sqrt(careful * (1 - careful) / weight)), int(blocked_ns * (running / weight)),
        enough,
    )  # fmt: skip


def returned(split: Split) -> Split:
    """The parts of a thread's way back from a wait, whose time in the run queue is known: it runs no longer than it
    takes to return, and was rather between two rounds of its wait for the GIL."""
    more_ns = split.running_ns - _RETURN_NS
    if more_ns <= 0 or not split.gil_ns:
        return split
    return split._replace(running_ns=_RETURN_NS, gil_ns=split.gil_ns + more_ns)


def beside_queue(states: Mapping[int, int], queued_ns: int, wall_ns: int) -> Mapping[int, int]:
    """The samples of a stretch less those that found its thread in the run queue, which is `queued_ns` of it."""
    running = states.get(RUNNING, 0)
    if not running or wall_ns <= 0:
        return states
    queued = min(round(sum(states.values()) * queued_ns / wall_ns), running)
    return {**states, RUNNING: running - queued} if queued else states
