"""Programs from a recording: each activity's stretches become steps; waits that queues caused are left out of them."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np

from whywait.analysis.errors import InputError
from whywait.analysis.model import Analysis
from whywait.analysis.path.pieces import cut_pieces
from whywait.analysis.path.running_frames import nested_frames
from whywait.analysis.path.segments import CALL, CPU, LOCK
from whywait.analysis.prediction.holds import QUEUES, Parts, Recording, held_key, holds_by_activity
from whywait.analysis.prediction.programs import LOOP, OWN, Give, Join, Key, Pause, Program, Run, Start, Step, Take
from whywait.analysis.spans.activities import recorded_activities, with_waits
from whywait.analysis.spans.requests import find_requests
from whywait.analysis.spans.span_table import span_table
from whywait.tracer import schema

_ON_THREAD: Final = {
    schema.WAIT_LOCK, schema.WAIT_LOGGING, schema.WAIT_BLOCKING, schema.WAIT_GC, schema.WAIT_POOL_STARTUP,
    schema.WAIT_POOL_SHUTDOWN,
}  # fmt: skip
_WAKE_NS: Final = 100_000
_CHIEFLY: Final = 0.8  # of the samples of a stretch: it counts as one function's


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
    parts = Parts(spans, activities, frames, pieces, by_activity, children, {})
    found = Recording()
    counts = spans.ints(np.arange(len(spans.start)), schema.CPU_COUNT)
    found.cpus = float(counts.max()) if counts.max(initial=0) > 0 else float("inf")
    parts.takes = holds_by_activity(parts, found)
    chosen = set(analysis.analysed["request_id"])
    for row, root in zip(requests.row, requests.root_row, strict=True):
        if spans.identities[row] in chosen and root >= 0:
            _add(found, parts, int(activities.of_row[root]))
    return found


def _add(found: Recording, parts: Parts, root: int) -> None:
    order, numbers = [root], {root: 0}
    for one in order:
        for child in parts.children[one]:
            if child not in numbers:
                numbers[child] = len(order)
                order.append(child)
    found.programs.append(Program(tuple(tuple(_steps(found, parts, one, numbers)) for one in order)))
    found.felt_ns.append(int(parts.of.end[root] - parts.of.start[root]))
    found.starts_ns.append(int(parts.of.start[root]))


def _steps(found: Recording, parts: Parts, activity: int, numbers: dict[int, int]) -> Iterator[Step]:
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
    found: Recording, parts: Parts, piece: int, kind: str, numbers: dict[int, int], joined: set[int]
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
    elif kind in QUEUES:
        if kind != schema.WAIT_POOL_QUEUE:
            yield Pause(float(min(length, _WAKE_NS)), (), kind)
    elif held_key(parts, wait) is None:
        others = _awaited(parts, piece, wait, numbers, joined)
        if others:
            joined.update(others)
            yield Join(tuple(numbers[one] for one in others))
        else:
            if parts.of.waits.waker[wait] >= 0:
                found.foreign_ns += length
            cause = "await_io" if kind == schema.WAIT_AWAIT else kind
            yield Pause(float(length), names, cause)


def _awaited(parts: Parts, piece: int, wait: int, numbers: dict[int, int], joined: set[int]) -> list[int]:
    """The activities of this request that had to end before this wait did."""
    of, waits = parts.of, parts.of.waits
    owner, waker = int(parts.pieces.activity[piece]), int(waits.waker[wait])
    if waker not in numbers:
        return []
    end = int(waits.vend[wait] - of.vstart[owner] + of.start[owner])
    begin = int(waits.vstart[wait] - of.vstart[owner] + of.start[owner])
    ended = [one for one in parts.children[owner] if one not in joined and begin < of.end[one] <= end]
    return [one for one in {*ended, waker} if one in numbers and one != owner]


def _functions(parts: Parts, piece: int) -> tuple[str, ...]:
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


def _pool(found: Recording, parts: Parts, activity: int) -> Key | None:
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
