"""What requests hold while others wait for it: locks, semaphores, connections; from whom to when.

Only those who wait are recorded. How long one holds it is known on average, by how long somebody waited for it; who did
not wait for it is taken to hold it at the same place.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

import numpy as np

from whywait.analysis.path.pieces import Pieces
from whywait.analysis.path.running_frames import Frames
from whywait.analysis.prediction.programs import CONNECTIONS, LOCK, LOOP, Key, Program
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.span_table import NONE, Ints, SpanTable
from whywait.tracer import schema

# waits that arise again in a replay
QUEUES: Final = {
    schema.WAIT_LOOP_BUSY, schema.WAIT_RESUME, schema.WAIT_COLLECT_ORDER, schema.WAIT_INGRESS, schema.WAIT_POOL_HANDOVER,
    schema.WAIT_LOOP_WAKEUP, schema.WAIT_POOL_QUEUE,
}  # fmt: skip


@dataclass(slots=True)
class Recording:
    """The recorded requests as programs, with what their steps refer to."""

    programs: list[Program] = field(default_factory=list)
    others: list[Program] = field(default_factory=list)  # of endpoints that are not analysed
    felt_ns: list[int] = field(default_factory=list)
    starts_ns: list[int] = field(default_factory=list)
    limits: dict[Key, int] = field(default_factory=lambda: {LOOP: 1})
    names: dict[Key, set[str]] = field(default_factory=dict)  # by which a user may name a limit
    submits: set[Key] = field(default_factory=set)  # locks that are held while a job is handed over and a thread starts
    cpus: float = float("inf")
    gil_wait_ns: float | None = None  # of all threads, for jobs; None: not sampled
    cpu_wait_share: float = 0.0  # of the time on a CPU and for one
    foreign_ns: int = 0  # waited for work of other requests, which a replay cannot make faster


Place = tuple[str | None, ...]
"""Where a stretch is: functions and kinds."""


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
    takes: "Holds"
    items: dict[int, int]  # by activity, where recorded
    usual: dict[Place, str]  # the function that chiefly ran in stretches of a place

    def attributes(self, wait: int) -> dict[str, Any]:
        found: dict[str, Any] = self.spans.attributes[self.of.waits.row[wait]]
        return found


def held_key(parts: Parts, wait: int) -> Key | None:
    """Return what a wait was for, if others held it, None for any other wait: a lock, a loop's lock or semaphore, a connection."""
    said = parts.attributes(wait)
    kind = said.get(schema.WAIT)
    if kind == schema.WAIT_CONNECTION:
        return (CONNECTIONS, said.get(schema.POOL_ID))
    if schema.LOCK_FILE in said and kind in (schema.WAIT_LOCK, schema.WAIT_LOGGING):
        return (LOCK, said[schema.LOCK_FILE], said.get(schema.LOCK_LINE), kind)
    if kind == schema.WAIT_AWAIT and schema.BLOCKER_SPAN_ID in said and parts.of.waits.waker[wait] < 0:
        return (LOCK, said.get(schema.CODE_FILE), said.get(schema.CODE_LINE), str(said.get(schema.FOR, "")))
    return None


Holds = dict[int, list[tuple[int, int, int, Key]]]
"""By activity: when it asked for something, got it and gave it back (virtual time), and what."""


def holds_by_activity(parts: Parts, found: Recording) -> Holds:
    """Return when activities took and gave back what others waited for; adds the limits to `found`."""
    waits, owner = parts.of.waits, _owners(parts)
    asked: dict[Key, list[int]] = defaultdict(list)
    for wait in range(len(waits.row)):
        key = held_key(parts, wait)
        if key is not None:
            asked[key].append(wait)
    held: Holds = defaultdict(list)
    for key, mine in asked.items():
        names = {
            str(parts.attributes(wait).get(name, ""))
            for wait in mine
            for name in (schema.CODE_FUNCTION, schema.POOL_NAME)
        }
        found.names[key] = names - {""}
        if any(parts.attributes(wait).get(schema.LOCK_KIND) == schema.LOCK_KIND_SUBMIT for wait in mine):
            found.submits.add(key)
        first = _acquired(parts, owner, mine) if key[0] == CONNECTIONS else {wait: wait for wait in mine}
        last = list(first)
        size = _size(parts, key, mine)
        length = _usual(parts, owner, last, mine, size)
        if length is None:
            continue
        holds = [(int(owner[wait]), int(waits.vstart[first[wait]]), int(waits.vend[wait])) for wait in last]
        holds += _uncontended(parts, owner, holds, key)
        for activity, begin, got in holds:
            held[activity].append((begin, got, min(got + length, int(parts.of.vend[activity])), key))
        found.limits[key] = size or _permits(parts, owner, mine, key, held)
    return held


def _acquired(parts: Parts, owner: Ints, waits: list[int]) -> dict[int, int]:
    """Return the waits after which a connection was acquired, each with the first for the same: a client's pool makes its
    caller wait several times, also for a lock of its own, and for that once more when it gives the connection back."""
    awaited = [str(parts.attributes(wait).get(schema.FOR)) for wait in waits]
    lasted: Counter[str] = Counter()
    for wait, name in zip(waits, awaited, strict=True):
        lasted[name] += int(parts.of.waits.vend[wait] - parts.of.waits.vstart[wait])
    chief, found, seen, first = lasted.most_common(1)[0][0], dict[int, int](), False, NONE
    for at, (wait, name) in enumerate(zip(waits, awaited, strict=True)):
        seen, first = seen or name == chief, wait if first == NONE else first
        if at + 1 == len(waits) or _next(parts, owner, wait + 1, int(owner[wait])) != waits[at + 1]:
            found |= {wait: first} if seen else {}
            seen, first = False, NONE
    return found


def _next(parts: Parts, owner: Ints, wait: int, activity: int) -> int:
    """The activity's first wait from this one on that is no queue of the loop, -1 where there is none."""
    while wait < len(owner) and owner[wait] == activity:
        if parts.attributes(wait).get(schema.WAIT) not in QUEUES:
            return wait
        wait += 1
    return -1


def _size(parts: Parts, key: Key, waits: list[int]) -> int:
    """How many can hold it at once: one a lock, as many as it has a connection pool; 0: not known, a semaphore."""
    if key[0] == CONNECTIONS:
        sizes = [parts.attributes(wait).get(schema.POOL_SIZE) for wait in waits]
        return max((size for size in sizes if isinstance(size, int)), default=1)
    return 0 if schema.SEMAPHORE in str(key[-1]) else 1


def _usual(parts: Parts, owner: Ints, last: list[int], waits: list[int], size: int) -> int | None:
    """How long it is held: while somebody waits all of it is held, and each wait that ends is one hold that ended. Of a
    semaphore whose size is not known: from the end of a wait to the end of the next wait that this holder ended."""
    of, shift = parts.of.waits, (parts.of.start - parts.of.vstart)[owner]
    if size:
        begins, ends = of.vstart[waits] + shift[waits], of.vend[waits] + shift[waits]
        order = np.argsort(begins)
        before = np.concatenate([[0], np.maximum.accumulate(ends[order])[:-1]])
        contended = np.clip(ends[order] - np.maximum(begins[order], before), 0, None).sum()
        return int(size * contended / len(last))
    taken: dict[int, list[int]] = defaultdict(list)
    for wait in last:
        taken[int(owner[wait])].append(int(of.vend[wait]))
    lengths = []
    for wait in last:
        activity = _releaser(parts, parts.attributes(wait))
        moment = int(of.vend[wait] + shift[wait] - parts.of.start[activity] + parts.of.vstart[activity])
        earlier = [one for one in taken.get(activity, ()) if one < moment]
        lengths += [moment - earlier[-1]] if earlier else []
    return int(median(lengths)) if lengths else None


def _owners(parts: Parts) -> Ints:
    owners: Ints = np.searchsorted(parts.of.vstart, parts.of.waits.vstart, side="right") - 1
    return owners


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


def _permits(parts: Parts, owner: Ints, waits: list[int], key: Key, held: Holds) -> int:
    """How many of it were in use, usually, when a wait for it began."""
    shift = parts.of.start - parts.of.vstart
    holds = [(begin + shift[activity], end + shift[activity])
             for activity, mine in held.items() for _, begin, end, other in mine if other == key]  # fmt: skip
    begins, ends = (np.sort(np.array(one)) for one in zip(*holds, strict=True))
    moments = parts.of.waits.vstart[waits] + shift[owner[waits]]
    inside = np.searchsorted(begins, moments, side="right") - np.searchsorted(ends, moments, side="right")
    return max(1, int(np.median(inside)))


def _uncontended(parts: Parts, owner: Ints, holds: list[tuple[int, int, int]], key: Key) -> list[tuple[int, int, int]]:
    """Return by whom it was acquired without a wait, and when: before the wait that most often came next in the holds."""
    waits, holders = parts.of.waits, {activity for activity, _, _ in holds}
    after = Counter(
        _place(parts, _next(parts, owner, int(np.searchsorted(waits.vstart, begin)), activity))
        for activity, _, begin in holds
    )
    place, times = after.most_common(1)[0]
    if not place or times < len(holds) / 2:
        return []
    found = dict[int, int]()
    for wait in range(len(owner)):
        if owner[wait] not in holders and _place(parts, wait) == place:
            found.setdefault(int(owner[wait]), int(waits.vstart[wait]))
    return [(activity, begin, begin) for activity, begin in found.items()]


def _place(parts: Parts, wait: int) -> tuple[Any, ...]:
    if wait < 0:
        return ()
    said = parts.attributes(wait)
    if said.get(schema.WAIT) in QUEUES or held_key(parts, wait) is not None:
        return ()
    return tuple(said.get(name) for name in (schema.WAIT, schema.CODE_FUNCTION, schema.CODE_LINE))
