"""What requests hold while others wait for it: locks, semaphores, connections; from whom to when.

A limit without a size of its own, such as a lock, is held from the end of a wait for it until the end of the next wait
that its holder ended. Who did not wait for it is taken to hold it at the same place for the usual time.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

import numpy as np

from whywait.analysis.path.pieces import Pieces
from whywait.analysis.path.running_frames import Frames
from whywait.analysis.prediction.programs import LOOP, Key, Program
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.span_table import Ints, SpanTable
from whywait.tracer import schema

# waits that arise again in a replay; of each only a wake-up's usual latency remains
QUEUES: Final = {
    schema.WAIT_LOOP_BUSY, schema.WAIT_RESUME, schema.WAIT_COLLECT_ORDER, schema.WAIT_INGRESS, schema.WAIT_POOL_HANDOVER,
    schema.WAIT_LOOP_WAKEUP, schema.WAIT_POOL_QUEUE,
}  # fmt: skip


@dataclass(slots=True)
class Recording:
    """The recorded requests as programs, with what their steps refer to."""

    programs: list[Program] = field(default_factory=list)
    felt_ns: list[int] = field(default_factory=list)
    starts_ns: list[int] = field(default_factory=list)
    limits: dict[Key, int] = field(default_factory=lambda: {LOOP: 1})
    names: dict[Key, set[str]] = field(default_factory=dict)  # by which a user may name a limit
    cpus: float = float("inf")
    gil_wait_ns: float | None = None  # of all threads; None: not sampled
    foreign_ns: int = 0  # waited for work of other requests, which a replay cannot make faster


@dataclass(slots=True)
class Parts:
    """The recorded activities and their pieces."""

    spans: SpanTable
    of: Activities
    frames: Frames
    pieces: Pieces
    rest_ns: Ints  # of the pieces
    by_activity: list[slice]
    children: dict[int, list[int]]
    takes: dict[int, list[tuple[int, int, Key]]]  # by activity: taken and given back (virtual time)

    def attributes(self, wait: int) -> dict[str, Any]:
        found: dict[str, Any] = self.spans.attributes[self.of.waits.row[wait]]
        return found


def held_key(parts: Parts, wait: int) -> Key | None:
    """Return what a wait was for, if others held it, None for any other wait: a lock, a loop's lock or semaphore, a connection."""
    said = parts.attributes(wait)
    kind = said.get(schema.WAIT)
    if kind == schema.WAIT_CONNECTION:
        return ("connections", said.get(schema.POOL_ID))
    if schema.LOCK_FILE in said and kind in (schema.WAIT_LOCK, schema.WAIT_LOGGING):
        return ("lock", said[schema.LOCK_FILE], said.get(schema.LOCK_LINE), kind)
    if kind == schema.WAIT_AWAIT and schema.BLOCKER_SPAN_ID in said and parts.of.waits.waker[wait] < 0:
        return ("lock", said.get(schema.CODE_FILE), said.get(schema.CODE_LINE), str(said.get(schema.FOR, "")))
    return None


Holds = dict[int, list[tuple[int, int, Key]]]
"""By activity: what it took and gave back, and when (virtual time)."""


def holds_by_activity(parts: Parts, found: Recording) -> Holds:
    """Return when activities took and gave back what others waited for; adds the limits to `found`."""
    waits, owner = parts.of.waits, _owners(parts)
    asked = [(wait, key) for wait in range(len(waits.row)) if (key := held_key(parts, wait)) is not None]
    taken: dict[tuple[int, Key], list[int]] = defaultdict(list)
    for wait, key in asked:
        taken[int(owner[wait]), key].append(int(waits.vend[wait]))
        said = parts.attributes(wait)
        found.names.setdefault(key, set()).update(
            str(said.get(name, "")) for name in (schema.CODE_FUNCTION, schema.POOL_NAME)
        )
    given = _given(parts, asked, owner, taken)
    usual = _usual(given)
    held = _held(parts, taken, given, usual)
    for key, length in usual.items():
        _uncontended(parts, key, length, held)
        found.limits[key] = _permits(parts, asked, key, held)
    return held


def _owners(parts: Parts) -> Ints:
    owners: Ints = np.searchsorted(parts.of.vstart, parts.of.waits.vstart, side="right") - 1
    return owners


def _given(
    parts: Parts, asked: list[tuple[int, Key]], owner: Ints, taken: dict[tuple[int, Key], list[int]]
) -> dict[tuple[int, Key, int], int]:
    """By activity, key and when it was taken: when it was given back, for those who ended a wait by that."""
    of, given = parts.of, dict[tuple[int, Key, int], int]()
    shift = of.start - of.vstart
    for wait, key in asked:
        activity = _releaser(parts, parts.attributes(wait))
        moment = int(of.waits.vend[wait] + shift[owner[wait]] - shift[activity])
        mine = taken.get((activity, key), [])
        at = bisect_left(mine, moment) - 1
        if at >= 0:
            given.setdefault((activity, key, mine[at]), moment)
    return given


def _usual(given: dict[tuple[int, Key, int], int]) -> dict[Key, int]:
    known: dict[Key, list[int]] = defaultdict(list)
    for (_, key, begin), end in given.items():
        known[key].append(end - begin)
    return {key: int(median(lengths)) for key, lengths in known.items()}


def _releaser(parts: Parts, said: dict[str, Any]) -> int:
    for trace, span in (
        (schema.WAKER_TRACE_ID, schema.WAKER_SPAN_ID),
        (schema.BLOCKER_TRACE_ID, schema.BLOCKER_SPAN_ID),
    ):
        if said.get(span):
            names = (np.array([said.get(one, "")], dtype=object) for one in (trace, span))
            row = int(parts.spans.find(*names)[0])
            return int(parts.of.of_row[row]) if row >= 0 else -1
    return -1


def _held(
    parts: Parts, taken: dict[tuple[int, Key], list[int]], given: dict[tuple[int, Key, int], int], usual: dict[Key, int]
) -> Holds:
    held: Holds = defaultdict(list)
    for (activity, key), begins in taken.items():
        for begin, later in zip(begins, [*begins[1:], int(parts.of.vend[activity])], strict=True):
            end = given.get((activity, key, begin))
            # a client's pool makes its caller wait several times: it has a connection after the last of them
            if key in usual and (end is not None or key[0] != "connections" or begin == begins[-1]):
                held[activity].append((begin, min(end or begin + usual[key], later), key))
    return held


def _permits(parts: Parts, asked: list[tuple[int, Key]], key: Key, held: Holds) -> int:
    """How many can hold it at once: a connection pool's size; of a semaphore, how many did when a wait for it began."""
    waits = [wait for wait, other in asked if other == key]
    if key[0] == "connections":
        sizes = [parts.attributes(wait).get(schema.POOL_SIZE) for wait in waits]
        return max((size for size in sizes if isinstance(size, int)), default=1)
    if "Semaphore" not in str(key[-1]):
        return 1
    shift = parts.of.start - parts.of.vstart
    holds = [(begin + shift[activity], end + shift[activity])
             for activity, mine in held.items() for begin, end, other in mine if other == key]  # fmt: skip
    begins, ends = (np.sort(np.array(one)) for one in zip(*holds, strict=True))
    moments = parts.of.waits.vstart[waits] + shift[_owners(parts)[waits]]
    inside = np.searchsorted(begins, moments, side="right") - np.searchsorted(ends, moments, side="right")
    return max(1, int(np.median(inside)))


def _uncontended(parts: Parts, key: Key, usual: int, held: Holds) -> None:
    """Add the holds of those who did not wait, before the wait that most often came next while it was held."""
    waits, owner = parts.of.waits, _owners(parts)
    holders = {activity for activity, holds in held.items() if any(other == key for _, _, other in holds)}
    after = Counter(
        _place(parts, int(np.searchsorted(waits.vstart, begin + 1)))
        for activity in holders for begin, _, other in held[activity] if other == key
    )  # fmt: skip
    place, times = after.most_common(1)[0] if after else ((), 0)
    if not place or times < sum(after.values()) / 2:
        return
    for wait in range(len(waits.row)):
        activity = int(owner[wait])
        if activity not in holders and _place(parts, wait) == place:
            holders.add(activity)
            begin = int(waits.vstart[wait])
            held[activity].append((begin, min(begin + usual, int(parts.of.vend[activity])), key))


def _place(parts: Parts, wait: int) -> tuple[Any, ...]:
    if wait >= len(parts.of.waits.row):
        return ()
    said = parts.attributes(wait)
    if said.get(schema.WAIT) in QUEUES or held_key(parts, wait) is not None:
        return ()
    return tuple(said.get(name) for name in (schema.WAIT, schema.CODE_FUNCTION, schema.CODE_LINE))
