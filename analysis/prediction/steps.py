"""The steps of one activity: its stretches, with what it takes and gives back, starts and joins, in their order."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import compress, pairwise
from typing import Final

import numpy as np

from whywait.analysis.causes import Cause
from whywait.analysis.path.running_frames import Frames
from whywait.analysis.path.segments import CALL, CPU, GIL, LOCK, RUN_QUEUE
from whywait.analysis.prediction.holds import QUEUES, Parts, Place, Recording, held_key
from whywait.analysis.prediction.programs import LOOP, OWN, POOL, Give, Join, Key, Pause, Run, Start, Step, Steps, Take
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.span_table import SpanTable
from whywait.tracer import schema

_ON_THREAD: Final = {
    schema.WAIT_LOCK, schema.WAIT_LOGGING, schema.WAIT_BLOCKING, schema.WAIT_GC, schema.WAIT_POOL_STARTUP,
    schema.WAIT_POOL_SHUTDOWN,
}  # fmt: skip
_CHIEFLY: Final = 0.8  # of the samples of a stretch: it counts as one function's
_FEWEST: Final = 3  # stretches of one place with samples: the others are like them


class Activity:
    """Writes the steps of one activity; `numbers`: those of the request's activities."""

    def __init__(self, found: Recording, parts: Parts, activity: int, numbers: dict[int, int]) -> None:
        self.found, self.parts, self.activity, self.numbers = found, parts, activity, numbers
        self.on_loop = not parts.of.is_job[activity] and parts.spans.kinds[parts.of.row[activity]] == schema.KIND_TASK
        self.steps: list[Step] = []
        self.has_loop = False
        self.joined: set[int] = set()
        self.takes = parts.takes.get(activity, ())
        self.told: set[int] = set()  # steps whose function samples tell

    def all(self) -> Steps:
        pool, pieces = _pool(self.found, self.parts, self.activity), self.parts.pieces
        self.steps += [Take(pool)] if pool is not None else []
        marks = self.marks()
        for piece in range(*self.parts.by_activity[self.activity].indices(len(pieces.vstart))):
            begin, length = int(pieces.vstart[piece]), int(pieces.length[piece])
            for since, upto in pairwise([begin, *self.given_inside(piece, marks), begin + length]):
                is_due = [moment <= since or (isinstance(mark, Start) and moment < upto) for moment, mark in marks]
                self.piece(piece, [mark for _, mark in compress(marks, is_due)], (upto - since) / length)
                marks = [one for one, now in zip(marks, is_due, strict=True) if not now]
        self.steps += [Give(LOOP)] * self.has_loop + [mark for _, mark in marks]
        self.steps += [Give(pool)] if pool is not None else []
        return self.near_waits() if self.on_loop else tuple(self.steps)

    def near_waits(self) -> Steps:
        """The steps, those of which no sample tells the function with the functions of the waits before and after."""
        steps = self.steps
        for order in (range(len(steps)), range(len(steps) - 1, -1, -1)):
            names: tuple[str, ...] = ()
            for at in order:
                step = steps[at]
                if isinstance(step, Pause) and step.cause == Cause.AWAIT_IO:
                    names = step.names
                elif isinstance(step, Join):
                    names = ()
                elif isinstance(step, Run | Pause) and at not in self.told:
                    steps[at] = step._replace(near=tuple({*step.near, *names}))
        return tuple(steps)

    def marks(self) -> list[tuple[int, Step]]:
        """What it takes, gives back and starts, and when (virtual time)."""
        of = self.parts.of
        marks: list[tuple[int, Step]] = []
        for _, taken, given, key in self.takes:
            marks += [(taken, Take(key)), (given, Give(key))]
        since = int(of.vstart[self.activity] - of.start[self.activity])
        born = [one for one in self.parts.children[self.activity] if one in self.numbers]
        marks += [(since + int(of.start[one]), Start(self.numbers[one])) for one in born]
        return sorted(marks, key=lambda one: one[0])

    def given_inside(self, piece: int, marks: Sequence[tuple[int, Step]]) -> list[int]:
        """When within a piece something is given back: how long it is held is known on average only."""
        begin, length = (int(one[piece]) for one in (self.parts.pieces.vstart, self.parts.pieces.length))
        wait = int(self.parts.pieces.wait[piece])
        if wait >= 0 and self.parts.of.waits.waker[wait] >= 0:
            return []  # what is joined is no stretch of time
        return sorted({moment for moment, mark in marks if isinstance(mark, Give) and begin < moment < begin + length})

    def piece(self, piece: int, due: Sequence[Step], share: float) -> None:
        """Add what is due, with the loop or without it, and this share of what the piece itself takes."""
        wait = int(self.parts.pieces.wait[piece])
        kind = self.parts.attributes(wait).get(schema.WAIT, "") if wait >= 0 else ""
        (names, sampled), amounts = _functions(self.parts, piece), self.parts.pieces.amounts_ns[piece].tolist()
        length, rest, small = (
            int(one[piece]) for one in (self.parts.pieces.length, self.parts.rest_ns, self.parts.pieces.small_ns)
        )
        asks = any(asked <= self.parts.pieces.vstart[piece] < taken for asked, taken, _, _ in self.takes)
        if asks:  # what is done between several waits for one thing, such as to ask again, is not done where it is free
            self.due(due, False)
            return
        if self.on_loop and wait < 0:  # waits that were too short to be recorded one by one
            self.due(due, False)
            due = ()
            self.pause(share * small, (), schema.WAIT_LOOP_BUSY, True)
        self.due(due, self.on_loop and (wait < 0 or kind in _ON_THREAD))
        first = len(self.steps)
        cpu_ns = share * amounts[CPU]
        if cpu_ns:
            self.steps.append(Run(cpu_ns, True, names, bool(self.parts.of.is_job[self.activity])))
        if wait < 0:
            blocked = amounts[LOCK] + amounts[CALL] + rest
            self.pause(share * amounts[GIL], names, "gil_wait", True)
            self.pause(share * amounts[RUN_QUEUE], names, "cpu_wait", True)
            self.pause(share * blocked, names, "blocking_io")
        elif kind not in QUEUES and held_key(self.parts, wait) is None:
            self.waited(piece, wait, kind, share)
        elif kind != schema.WAIT_POOL_QUEUE:
            self.pause(share * length - cpu_ns, (), kind, True)
        self.told.update(range(first, len(self.steps)) if sampled else ())

    def due(self, due: Sequence[Step], needs_loop: bool) -> None:
        takes = any(isinstance(one, Take) for one in due)
        if self.has_loop and (takes or not needs_loop):
            self.steps.append(Give(LOOP))  # nothing is waited for with it: a lock's holder may need it
            self.has_loop = False
        loop: list[Step] = [Take(LOOP)] if needs_loop and not self.has_loop else []
        self.steps += [*due, *loop] if takes else [*loop, *due]
        self.has_loop = needs_loop

    def pause(self, ns: float, names: tuple[str, ...], cause: str, queued: bool = False) -> None:
        if ns > 0:
            self.steps.append(Pause(ns, names, cause, queued))

    def waited(self, piece: int, wait: int, kind: str, share: float) -> None:
        others = self.awaited(wait)
        if others:
            self.joined.update(others)
            self.steps.append(Join(tuple(self.numbers[one] for one in others)))
            return
        length = int(share * self.parts.pieces.length[piece])
        self.found.foreign_ns += length if self.parts.of.waits.waker[wait] >= 0 else 0
        cause = Cause.AWAIT_IO if kind == schema.WAIT_AWAIT else kind
        if self.parts.attributes(wait).get(schema.LOCK_KIND) == schema.LOCK_KIND_SUBMIT:
            cause = Cause.POOL_STARTUP  # of another request: its thread starts meanwhile
        self.pause(float(length), _functions(self.parts, piece)[0], cause)

    def awaited(self, wait: int) -> list[int]:
        """The activities of this request that had to end before this wait did."""
        of, waits, owner = self.parts.of, self.parts.of.waits, self.activity
        waker = int(waits.waker[wait])
        if waker not in self.numbers:
            return []
        begin, end = (int(one[wait] - of.vstart[owner] + of.start[owner]) for one in (waits.vstart, waits.vend))
        ended = [one for one in self.parts.children[owner] if one not in self.joined and begin < of.end[one] <= end]
        return [one for one in {*ended, waker} if one in self.numbers and one != owner]


def _functions(parts: Parts, piece: int) -> tuple[tuple[str, ...], bool]:
    """The job's function, and the one around this piece or, by samples, in it; whether samples told one."""
    wait, frame, activity = (int(getattr(parts.pieces, name)[piece]) for name in ("wait", "frame", "activity"))
    rows = [parts.of.row[activity]] if parts.of.is_job[activity] else []
    rows += [parts.of.waits.row[wait]] if wait >= 0 else [parts.frames.row[frame]] if frame >= 0 else []
    names = {str(parts.spans.attributes[row].get(schema.CODE_FUNCTION, "")) for row in rows}
    ran, chief = parts.spans.attributes[rows[-1]] if rows and wait < 0 else {}, ""
    if ran.get(schema.RAN_NS):
        chief = _chief(Counter(dict(zip(ran[schema.RAN_NAMES], ran[schema.RAN_NS], strict=True))))
    elif ran:
        chief = parts.usual.get(_place(parts.spans, parts.of, rows[-1]), "")
    return tuple(sorted({*names, chief} - {""})), bool(chief)


def usual_functions(spans: SpanTable, activities: Activities, frames: Frames) -> dict[Place, str]:
    """Return which function of the user ran chiefly, by samples, in stretches of one place: most are too short for one."""
    ran: dict[Place, Counter[str]] = defaultdict(Counter)
    looked: Counter[Place] = Counter()
    for row in np.unique(frames.row).tolist():
        said = spans.attributes[row]
        if said.get(schema.RAN_NS):
            place = _place(spans, activities, row)
            looked[place] += 1
            ran[place].update(dict(zip(said[schema.RAN_NAMES], said[schema.RAN_NS], strict=True)))
    return {place: _chief(found) for place, found in ran.items() if looked[place] >= _FEWEST}


def _place(spans: SpanTable, activities: Activities, row: int) -> Place:
    """The function of the stretch's activity, and what the stretch is."""
    said, around = (spans.attributes[one] for one in (row, activities.row[activities.of_row[row]]))
    return around.get(schema.CODE_FUNCTION), said.get(schema.KIND), said.get(schema.CODE_FUNCTION)


def _chief(ran_ns: Counter[str]) -> str:
    (name, most_ns), *_ = ran_ns.most_common(1)
    return str(name) if most_ns > _CHIEFLY * ran_ns.total() else ""


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
    key: Key = (OWN, str(said.get(schema.POOL_LINE))) if own else (POOL, number)
    found.limits[key] = size
    found.names.setdefault(key, set()).add(str(said.get(schema.POOL_NAME, "")))
    return key
