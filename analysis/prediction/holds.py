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
    foreign_ns: int = 0  # waited for work of other requests, which a replay cannot make faster


@dataclass(slots=True)
class Parts:
    """The recorded activities and their pieces."""

    spans: SpanTable
    of: Activities
    frames: Frames
    pieces: Pieces
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


def holds_by_activity(parts: Parts, found: Recording) -> dict[int, list[tuple[int, int, Key]]]:
    """Return by activity when it took and gave back (virtual time) what others waited for; adds the limits to `found`."""
    waits, of = parts.of.waits, parts.of
    owner = np.searchsorted(of.vstart, waits.vstart, side="right") - 1
    taken: dict[tuple[int, Key], list[int]] = defaultdict(list)
    releases: list[tuple[int, Key, int]] = []
    for wait in range(len(waits.row)):
        key = held_key(parts, wait)
        if key is None:
            continue
        said, activity = parts.attributes(wait), int(owner[wait])
        taken[activity, key].append(int(waits.vend[wait]))
        found.names.setdefault(key, set()).update(
            str(said.get(name, "")) for name in (schema.CODE_FUNCTION, schema.POOL_NAME)
        )
        releases.append((_releaser(parts, said), key, int(waits.vend[wait] - of.vstart[activity] + of.start[activity])))
    given: dict[tuple[int, Key, int], int] = {}
    for activity, key, moment in releases:
        mine = taken.get((activity, key), [])
        at = bisect_left(mine, moment - of.start[activity] + of.vstart[activity]) - 1
        if at >= 0:
            given.setdefault((activity, key, mine[at]), int(moment - of.start[activity] + of.vstart[activity]))
    return _holds(found, parts, taken, given)


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


def _holds(
    found: Recording, parts: Parts, taken: dict[tuple[int, Key], list[int]], given: dict[tuple[int, Key, int], int]
) -> dict[int, list[tuple[int, int, Key]]]:
    usual = {}
    for key in {key for _, key in taken}:
        known = [end - begin for (_, other, begin), end in given.items() if other == key]
        if known:
            usual[key] = int(median(known))
    held: dict[int, list[tuple[int, int, Key]]] = defaultdict(list)
    for (activity, key), begins in taken.items():
        for begin, later in (
            zip(begins, [*begins[1:], int(parts.of.vend[activity])], strict=True) if key in usual else ()
        ):
            end = given.get((activity, key, begin))
            # a client's pool makes its caller wait several times: it has a connection after the last of them
            if end is not None or key[0] != "connections" or begin == begins[-1]:
                held[activity].append((begin, min(end or begin + usual[key], later), key))
    for key in usual:
        found.limits[key] = _permits(found, parts, key, held)
        _uncontended(parts, key, usual[key], held)
    return held


def _permits(found: Recording, parts: Parts, key: Key, held: dict[int, list[tuple[int, int, Key]]]) -> int:
    """How many held it at once, most of the time that somebody did."""
    kind = str(key[-1]) if isinstance(key, tuple) else ""
    if "Semaphore" not in kind and key[0] != "connections":
        return 1
    for row in parts.of.waits.row if key[0] == "connections" else ():
        size = parts.spans.attributes[row].get(schema.POOL_SIZE)
        if isinstance(size, int) and ("connections", parts.spans.attributes[row].get(schema.POOL_ID)) == key:
            return max(1, size)
    shift = parts.of.start - parts.of.vstart
    moments = sorted(
        moment
        for activity, holds in held.items()
        for begin, end, other in holds if other == key
        for moment in ((begin + shift[activity], 1), (end + shift[activity], -1))
    )  # fmt: skip
    levels: Counter[int] = Counter()
    now, before = 0, 0
    for moment, change in moments:
        levels[now] += int(moment - before) if before else 0
        now, before = now + change, moment
    return max(1, max(levels, key=lambda level: levels[level] if level else 0))


def _uncontended(parts: Parts, key: Key, usual: int, held: dict[int, list[tuple[int, int, Key]]]) -> None:
    """Add the holds of those who did not wait, before the wait that most often came next while it was held."""
    waits, of = parts.of.waits, parts.of
    after: Counter[tuple[Any, ...]] = Counter()
    for holds in list(held.values()):
        for begin, _, other in holds:
            if other == key:
                after[_place(parts, int(np.searchsorted(waits.vstart, begin + 1)))] += 1
    place, times = after.most_common(1)[0] if after else ((), 0)
    if not place or times < sum(after.values()) / 2:
        return
    owner: Ints = np.searchsorted(of.vstart, waits.vstart, side="right") - 1
    for wait in range(len(waits.row)):
        activity = int(owner[wait])
        if _place(parts, wait) == place and key not in [one[2] for one in held[activity]]:
            begin = int(waits.vstart[wait])
            held[activity].append((begin, min(begin + usual, int(of.vend[activity])), key))


def _place(parts: Parts, wait: int) -> tuple[Any, ...]:
    if wait >= len(parts.of.waits.row):
        return ()
    said = parts.attributes(wait)
    if said.get(schema.WAIT) in QUEUES or held_key(parts, wait) is not None:
        return ()
    return tuple(said.get(name) for name in (schema.WAIT, schema.CODE_FUNCTION, schema.CODE_LINE))
