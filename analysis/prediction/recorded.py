"""Programs from a recording: each activity's stretches become steps; waits that queues caused are left out of them."""

from collections import defaultdict
from itertools import pairwise

import numpy as np

from whywait.analysis.errors import InputError
from whywait.analysis.model import Analysis
from whywait.analysis.path.pieces import Pieces, cut_pieces
from whywait.analysis.path.running_frames import nested_frames
from whywait.analysis.path.segments import CPU, RUN_QUEUE
from whywait.analysis.prediction.holds import Parts, Recording, holds_by_activity
from whywait.analysis.prediction.programs import Program
from whywait.analysis.prediction.steps import Activity
from whywait.analysis.spans.activities import Activities, recorded_activities, with_waits
from whywait.analysis.spans.requests import find_requests
<<<<<<< HEAD
from whywait.analysis.spans.span_table import SpanTable, span_table
=======
from whywait.analysis.spans.span_table import NONE, SpanTable, span_table
>>>>>>> whatif
from whywait.tracer import schema


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
    parts = Parts(spans, activities, frames, pieces, pieces.rest_ns, by_activity, children, {})
    found = Recording()
    counts = spans.ints(np.arange(len(spans.start)), schema.CPU_COUNT)
<<<<<<< HEAD
    found.gil_wait_ns = _gil_wait_ns(spans)
=======
    found.gil_wait_ns, found.cpu_wait_share = _waited_for_jobs_ns(spans, activities), _cpu_wait_share(pieces)
>>>>>>> whatif
    found.cpus = float(counts.max()) if counts.max(initial=0) > 0 else float("inf")
    parts.takes = holds_by_activity(parts, found)
    chosen = set(analysis.analysed["request_id"])
    for row, root in zip(requests.row, requests.root_row, strict=True):
        if spans.identities[row] in chosen and root >= 0:
            _add(found, parts, int(activities.of_row[root]))
    return found


<<<<<<< HEAD
def _gil_wait_ns(spans: SpanTable) -> float | None:
    """How long all threads waited for the GIL, by samples; None where none were taken."""
    rows = np.flatnonzero(np.isin(spans.kinds, [schema.KIND_RUN, schema.KIND_BLOCK, schema.KIND_WAIT]))
    if not any(schema.SIGNAL_SAMPLER in spans.attributes[row].get(schema.SIGNALS, ()) for row in np.flatnonzero(spans.kinds == schema.KIND_TASK)):
        return None
    return float(np.maximum(spans.ints(rows, schema.GIL_NS), 0).sum())
=======
def _waited_for_jobs_ns(spans: SpanTable, activities: Activities) -> float | None:
    """How long all threads waited for the GIL while a job had it, by samples; None where none were taken."""
    tasks = np.flatnonzero(spans.kinds == schema.KIND_TASK)
    if not any(schema.SIGNAL_HOLDER in spans.attributes[row].get(schema.SIGNALS, ()) for row in tasks):
        return None
    held = [
        holder
        for row in np.flatnonzero(np.isin(spans.kinds, [schema.KIND_RUN, schema.KIND_BLOCK, schema.KIND_WAIT]))
        for said in [spans.attributes[row]] if said.get(schema.HOLDER_NS)
        for holder in zip(said[schema.HOLDER_TRACE_IDS], said[schema.HOLDER_SPAN_IDS], said[schema.HOLDER_NS], strict=True)
    ]  # fmt: skip
    if not held:
        return 0.0
    traces, ids, amounts = (np.array(one, dtype=object) for one in zip(*held, strict=True))
    rows = spans.find(traces, ids)
    owner = np.where(rows >= 0, activities.of_row[rows], NONE)
    return float(amounts[(owner >= 0) & activities.is_job[owner]].sum())


def _cpu_wait_share(pieces: Pieces) -> float:
    """Of the time on a CPU and for one: what was for one."""
    had, wanted = pieces.amounts_ns[pieces.wait < 0][:, [CPU, RUN_QUEUE]].sum(axis=0)
    return float(wanted / max(1, had + wanted))
>>>>>>> whatif


def _add(found: Recording, parts: Parts, root: int) -> None:
    order, numbers = [root], {root: 0}
    for one in order:
        for child in parts.children[one]:
            if child not in numbers:
                numbers[child] = len(order)
                order.append(child)
    found.programs.append(Program(tuple(Activity(found, parts, one, numbers).all() for one in order)))
    found.felt_ns.append(int(parts.of.end[root] - parts.of.start[root]))
    found.starts_ns.append(int(parts.of.start[root]))
<<<<<<< HEAD


class _Activity:
    """Writes the steps of one activity; `numbers`: those of the request's activities."""

    def __init__(self, found: Recording, parts: Parts, activity: int, numbers: dict[int, int]) -> None:
        self.found, self.parts, self.activity, self.numbers = found, parts, activity, numbers
        self.on_loop = not parts.of.is_job[activity] and parts.spans.kinds[parts.of.row[activity]] == schema.KIND_TASK
        self.steps: list[Step] = []
        self.has_loop = False
        self.joined: set[int] = set()

    def all(self) -> Steps:
        parts, of = self.parts, self.parts.of
        pool = _pool(self.found, parts, self.activity)
        self.steps += [Take(pool)] if pool is not None else []
        marks: list[tuple[int, Step]] = [
            (moment, kind(key))
            for taken, given, key in parts.takes.get(self.activity, ())
            for moment, kind in ((taken, Take), (given, Give))
        ]
        born = of.start - of.start[self.activity] + of.vstart[self.activity]
        marks += [
            (int(born[one]), Start(self.numbers[one])) for one in parts.children[self.activity] if one in self.numbers
        ]
        marks.sort(key=lambda one: one[0])
        for piece in range(*parts.by_activity[self.activity].indices(len(parts.pieces.vstart))):
            length = int(parts.pieces.length[piece])
            # what is given back or started while this waits was so before
            upto = int(parts.pieces.vstart[piece]) + (length if parts.pieces.wait[piece] >= 0 else length // 2 + 1)
            due = [mark for moment, mark in marks if moment < upto]
            del marks[: len(due)]
            self.piece(piece, due)
        self.steps += [Give(LOOP)] * self.has_loop + [mark for _, mark in marks]
        self.steps += [Give(pool)] if pool is not None else []
        return tuple(self.steps)

    def piece(self, piece: int, due: Sequence[Step]) -> None:
        """Add what is due, with the loop or without it, and what the piece itself takes."""
        wait = int(self.parts.pieces.wait[piece])
        kind = self.parts.attributes(wait).get(schema.WAIT, "") if wait >= 0 else ""
        needs_loop = self.on_loop and (wait < 0 or kind in _ON_THREAD)
        takes = any(isinstance(one, Take) for one in due)
        if self.has_loop and (takes or not needs_loop):
            self.steps.append(Give(LOOP))  # nothing is waited for with it: a lock's holder may need it
            self.has_loop = False
        self.steps += due if takes else ()
        self.steps += [Take(LOOP)] if needs_loop and not self.has_loop else []
        self.steps += () if takes else due
        self.has_loop = needs_loop
        names, pieces = _functions(self.parts, piece), self.parts.pieces
        cpu_ns, lock_ns, call_ns = (float(pieces.amounts_ns[piece][one]) for one in (CPU, LOCK, CALL))
        job = bool(self.parts.of.is_job[self.activity])
        self.steps += [Run(cpu_ns, True, names, job)] if cpu_ns else []
        if wait < 0:
            self.steps.append(Pause(lock_ns + call_ns + float(self.parts.rest_ns[piece]), names, "blocking_io"))
        elif kind in QUEUES:
            if kind != schema.WAIT_POOL_QUEUE:
                self.steps.append(Pause(float(min(self.parts.pieces.length[piece], _WAKE_NS)), (), kind))
        elif held_key(self.parts, wait) is None:
            self.waited(piece, wait, kind)

    def waited(self, piece: int, wait: int, kind: str) -> None:
        others = self.awaited(wait)
        if others:
            self.joined.update(others)
            self.steps.append(Join(tuple(self.numbers[one] for one in others)))
            return
        length = int(self.parts.pieces.length[piece])
        self.found.foreign_ns += length if self.parts.of.waits.waker[wait] >= 0 else 0
        cause = "await_io" if kind == schema.WAIT_AWAIT else kind
        self.steps.append(Pause(float(length), _functions(self.parts, piece), cause))

    def awaited(self, wait: int) -> list[int]:
        """The activities of this request that had to end before this wait did."""
        of, waits, owner = self.parts.of, self.parts.of.waits, self.activity
        waker = int(waits.waker[wait])
        if waker not in self.numbers:
            return []
        begin, end = (int(one[wait] - of.vstart[owner] + of.start[owner]) for one in (waits.vstart, waits.vend))
        ended = [one for one in self.parts.children[owner] if one not in self.joined and begin < of.end[one] <= end]
        return [one for one in {*ended, waker} if one in self.numbers and one != owner]


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
=======
>>>>>>> whatif
