"""Programs from a recording: each activity's stretches become steps; waits that queues caused are left out of them.

A limit without a size of its own, such as a lock, is held from the end of a wait for it until the end of the next wait
that its holder ended. Who did not wait for it is taken to hold it at the same place for the usual time.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any, Final

import numpy as np

from whywait.analysis.errors import InputError
from whywait.analysis.model import Analysis
from whywait.analysis.path.pieces import Pieces, cut_pieces
from whywait.analysis.path.running_frames import Frames, nested_frames
from whywait.analysis.path.segments import CALL, CPU, LOCK
from whywait.analysis.spans.activities import Activities, recorded_activities, with_waits
from whywait.analysis.spans.requests import find_requests
from whywait.analysis.spans.span_table import Ints, SpanTable, span_table
from whywait.analysis.whatif.programs import LOOP, OWN, Give, Join, Key, Pause, Program, Run, Start, Step, Take
from whywait.tracer import schema

# waits that arise again in a replay; of each only a wake-up's usual latency remains
_QUEUES: Final = {
    schema.WAIT_LOOP_BUSY, schema.WAIT_RESUME, schema.WAIT_COLLECT_ORDER, schema.WAIT_INGRESS, schema.WAIT_POOL_HANDOVER,
    schema.WAIT_LOOP_WAKEUP, schema.WAIT_POOL_QUEUE,
}  # fmt: skip
_ON_THREAD: Final = {
    schema.WAIT_LOCK, schema.WAIT_LOGGING, schema.WAIT_BLOCKING, schema.WAIT_GC, schema.WAIT_POOL_STARTUP,
    schema.WAIT_POOL_SHUTDOWN,
}  # fmt: skip
_WAKE_NS: Final = 100_000
_CHIEFLY: Final = 0.8  # of the samples of a stretch: it counts as one function's


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
class _Parts:
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


def recorded(analysis: Analysis) -> Recording:
    """Return the programs of the analysed requests. Raises InputError where a replay would not stand for them."""
    spans = span_table(analysis.spans)
    activities, raw, _ = recorded_activities(spans)
    requests, _ = find_requests(spans, activities)
    if requests.foreign.any() or not len(activities.row):
        raise InputError("cannot predict: these traces were not recorded by whywait, and lack queues and CPU times")
    if (analysis.requests["weight"] != 1).any():
        raise InputError("cannot predict: only a part of the requests was kept. Record with WHYWAIT_KEEP=all")
    activities, _ = with_waits(activities, raw, spans)
    frames = nested_frames(spans, activities)
    pieces = cut_pieces(spans, activities, frames)
    bounds = np.searchsorted(pieces.activity, np.arange(len(activities.row) + 1))
    children = defaultdict(list)
    for child, spawner in enumerate(activities.spawner):
        children[int(spawner)].append(child)
    by_activity = [slice(int(one), int(other)) for one, other in pairwise(bounds)]
    parts = _Parts(spans, activities, frames, pieces, by_activity, children, {})
    found = Recording()
    counts = spans.ints(np.arange(len(spans.start)), schema.CPU_COUNT)
    found.cpus = float(counts.max()) if counts.max(initial=0) > 0 else float("inf")
    parts.takes = _takes(parts, found)
    chosen = set(analysis.analysed["request_id"])
    for row, root in zip(requests.row, requests.root_row, strict=True):
        if spans.identities[row] in chosen and root >= 0:
            _add(found, parts, int(activities.of_row[root]))
    return found


def _add(found: Recording, parts: _Parts, root: int) -> None:
    order = [root]
    for one in order:
        order += [child for child in parts.children[one] if child not in order]
    numbers = {activity: number for number, activity in enumerate(order)}
    found.programs.append(Program(tuple(tuple(_steps(found, parts, one, numbers)) for one in order)))
    found.felt_ns.append(int(parts.of.end[root] - parts.of.start[root]))
    found.starts_ns.append(int(parts.of.start[root]))


def _steps(found: Recording, parts: _Parts, activity: int, numbers: dict[int, int]) -> Iterator[Step]:
    of, pool = parts.of, _pool(found, parts, activity)
    on_loop = not of.is_job[activity] and parts.spans.kinds[of.row[activity]] == schema.KIND_TASK
    born = sorted((int(of.start[one] - of.start[activity]), one) for one in parts.children[activity] if one in numbers)
    marks: list[tuple[int, Take | Give]] = []
    for taken, given, key in parts.takes.get(activity, ()):
        marks += [(taken, Take(key)), (given, Give(key))]
    marks.sort(key=lambda one: one[0])
    if pool is not None:
        yield Take(pool)
    has_loop, joined = False, set[int]()
    for piece in range(*parts.by_activity[activity].indices(len(parts.pieces.vstart))):
        middle = int(parts.pieces.vstart[piece] + parts.pieces.length[piece] // 2)
        wait = int(parts.pieces.wait[piece])
        kind = parts.attributes(wait).get(schema.WAIT, "") if wait >= 0 else ""
        needs_loop = on_loop and (wait < 0 or kind in _ON_THREAD)
        due = [mark for moment, mark in marks if moment <= middle]
        del marks[: len(due)]
        if has_loop and on_loop and (not needs_loop or any(isinstance(one, Take) for one in due)):
            yield Give(LOOP)  # nothing is waited for with it: a lock's holder may need it
            has_loop = False
        if needs_loop and not has_loop:
            yield from (one for one in due if isinstance(one, Take))
            yield Take(LOOP)
            due = [one for one in due if isinstance(one, Give)]
        has_loop = needs_loop
        yield from due
        while born and born[0][0] <= middle - of.vstart[activity]:
            yield Start(numbers[born.pop(0)[1]])
        yield from _piece(found, parts, piece, kind, numbers, joined)
    if has_loop:
        yield Give(LOOP)
    yield from (Start(numbers[one]) for _, one in born)
    yield from (mark for _, mark in marks)
    if pool is not None:
        yield Give(pool)


def _piece(
    found: Recording, parts: _Parts, piece: int, kind: str, numbers: dict[int, int], joined: set[int]
) -> Iterator[Step]:
    amounts, wait, length = (
        parts.pieces.amounts_ns[piece],
        int(parts.pieces.wait[piece]),
        int(parts.pieces.length[piece]),
    )
    names = _functions(parts, piece)
    if amounts[CPU]:
        yield Run(float(amounts[CPU]), True, names, bool(parts.of.is_job[parts.pieces.activity[piece]]))
    if wait < 0:
        yield Pause(float(amounts[LOCK] + amounts[CALL] + parts.pieces.rest_ns[piece]), names, "blocking_io")
    elif kind in _QUEUES:
        if kind != schema.WAIT_POOL_QUEUE:
            yield Pause(float(min(length, _WAKE_NS)), (), kind)
    elif _held_key(parts, wait) is None:
        others = _awaited(parts, piece, wait, numbers, joined)
        if others:
            joined.update(others)
            yield Join(tuple(numbers[one] for one in others))
        else:
            if parts.of.waits.waker[wait] >= 0:
                found.foreign_ns += length
            cause = "await_io" if kind == schema.WAIT_AWAIT else kind
            yield Pause(float(length), names, cause)


def _awaited(parts: _Parts, piece: int, wait: int, numbers: dict[int, int], joined: set[int]) -> list[int]:
    """The activities of this request that had to end before this wait did."""
    of, waits = parts.of, parts.of.waits
    owner, waker = int(parts.pieces.activity[piece]), int(waits.waker[wait])
    if waker not in numbers:
        return []
    end = int(waits.vend[wait] - of.vstart[owner] + of.start[owner])
    begin = int(waits.vstart[wait] - of.vstart[owner] + of.start[owner])
    ended = [one for one in parts.children[owner] if one not in joined and begin < of.end[one] <= end]
    return [one for one in {*ended, waker} if one in numbers and one != owner]


def _functions(parts: _Parts, piece: int) -> tuple[str, ...]:
    """The job's function, and the one around this piece or, by samples, in it."""
    wait, frame, activity = (int(getattr(parts.pieces, name)[piece]) for name in ("wait", "frame", "activity"))
    rows = [parts.of.row[activity]] if parts.of.is_job[activity] else []
    rows += [parts.of.waits.row[wait]] if wait >= 0 else [parts.frames.row[frame]] if frame >= 0 else []
    names = {str(parts.spans.attributes[row].get(schema.CODE_FUNCTION, "")) for row in rows}
    ran = parts.spans.attributes[rows[-1]] if rows and wait < 0 else {}
    amounts = ran.get(schema.RAN_NS) or [0]
    if amounts[0] > _CHIEFLY * sum(amounts):
        names.add(str(ran[schema.RAN_NAMES][0]))
    return tuple(sorted(names - {""}))


def _pool(found: Recording, parts: _Parts, activity: int) -> Key | None:
    said = parts.spans.attributes[parts.of.row[activity]]
    size, number = said.get(schema.POOL_SIZE), said.get(schema.POOL_ID)
    if not parts.of.is_job[activity] or not isinstance(size, int) or size < 1:
        return None
    # a pool that is younger than its request at the job's start is the request's own
    age, root = said.get(schema.POOL_AGE_NS), activity
    while parts.of.spawner[root] >= 0:
        root = int(parts.of.spawner[root])
    own = isinstance(age, int) and age < parts.of.start[activity] - parts.of.start[root]
    key: Key = (OWN, str(said.get(schema.POOL_LINE))) if own else ("pool", number)
    found.limits[key] = size
    found.names.setdefault(key, set()).add(str(said.get(schema.POOL_NAME, "")))
    return key


# --- what is held ---------------------------------------------------------------------------------
def _held_key(parts: _Parts, wait: int) -> Key | None:
    """What a wait was for, if others held it: a lock, a loop's lock or semaphore, a connection."""
    said = parts.attributes(wait)
    kind = said.get(schema.WAIT)
    if kind == schema.WAIT_CONNECTION:
        return ("connections", said.get(schema.POOL_ID))
    if schema.LOCK_FILE in said and kind in (schema.WAIT_LOCK, schema.WAIT_LOGGING):
        return ("lock", said[schema.LOCK_FILE], said.get(schema.LOCK_LINE), kind)
    if kind == schema.WAIT_AWAIT and schema.BLOCKER_SPAN_ID in said and parts.of.waits.waker[wait] < 0:
        return ("lock", said.get(schema.CODE_FILE), said.get(schema.CODE_LINE), str(said.get(schema.FOR, "")))
    return None


def _takes(parts: _Parts, found: Recording) -> dict[int, list[tuple[int, int, Key]]]:
    """By activity: when it took and gave back what others waited for."""
    waits, of = parts.of.waits, parts.of
    owner = np.searchsorted(of.vstart, waits.vstart, side="right") - 1
    taken: dict[tuple[int, Key], list[int]] = defaultdict(list)
    releases: list[tuple[int, Key, int]] = []
    for wait in range(len(waits.row)):
        key = _held_key(parts, wait)
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


def _releaser(parts: _Parts, said: dict[str, Any]) -> int:
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
    found: Recording, parts: _Parts, taken: dict[tuple[int, Key], list[int]], given: dict[tuple[int, Key, int], int]
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


def _permits(found: Recording, parts: _Parts, key: Key, held: dict[int, list[tuple[int, int, Key]]]) -> int:
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


def _uncontended(parts: _Parts, key: Key, usual: int, held: dict[int, list[tuple[int, int, Key]]]) -> None:
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


def _place(parts: _Parts, wait: int) -> tuple[Any, ...]:
    if wait >= len(parts.of.waits.row):
        return ()
    said = parts.attributes(wait)
    if said.get(schema.WAIT) in _QUEUES or _held_key(parts, wait) is not None:
        return ()
    return tuple(said.get(name) for name in (schema.WAIT, schema.CODE_FUNCTION, schema.CODE_LINE))
