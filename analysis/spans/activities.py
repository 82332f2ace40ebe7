"""The activities that worked for requests, their waits, and their wakers.

All activities are laid one after another on one *virtual* time line, so that "the last wait of
activity a that began before t" is one binary search over one sorted array, for all requests at once:

    activity    0          1    2
    virtual     |---------||---||-------|
                ^ vstart[0] ^ vstart[1] ^ ...   v = vstart[a] + (t - start[a])
"""

from dataclasses import dataclass, replace

import numpy as np

from whywait.analysis.errors import InputError
from whywait.analysis.model import Finding
from whywait.analysis.spans.awaited import all_awaits
from whywait.analysis.spans.clean import finding
from whywait.analysis.spans.span_table import NONE, Bools, Ints, SpanTable
from whywait.tracer import schema

MOST_AHEAD = 0.8  # of a wait for the loop
_CLIP_TOLERANCE_NS = 1000  # stores round to microseconds


@dataclass(frozen=True, slots=True)
class Waits:
    """The waits of all activities: disjoint, sorted by virtual time."""

    vstart: Ints
    vend: Ints
    row: Ints  # the wait span (for a foreign trace the child span)
    waker: Ints  # the activity that ended it, NONE when there is no edge
    turn: Ints  # since when that ran on the loop, in one step: it is not followed further back; NONE for any other wait


@dataclass(frozen=True, slots=True)
class Activities:
    """One row per activity."""

    row: Ints  # its task, job or root phase span
    start: Ints
    end: Ints  # a job ends when its function returned
    vstart: Ints
    vend: Ints
    spawner: Ints  # activity in the same trace, NONE when unknown
    trace: Ints
    is_job: Bools
    foreign: Bools  # a span in a trace that whywait did not write
    of_row: Ints  # by span row: the activity that a task, job, run, phase, wait or block belongs to
    waits: Waits


@dataclass(frozen=True, slots=True)
class RawWaits:
    """Waits before they are made disjoint, in real time."""

    activity: Ints
    start: Ints
    end: Ints
    row: Ints
    waker: Ints
    turn: Ints


def recorded_activities(spans: SpanTable) -> tuple[Activities, RawWaits, list[Finding]]:
    """Return the recorded activities, and their waits as recorded."""
    kinds = spans.kinds
    phases = np.flatnonzero(kinds == schema.KIND_PHASE)
    roots = phases[[value is True for value in spans.values(phases, schema.ROOT)]]
    is_activity = (kinds == schema.KIND_TASK) | (kinds == schema.KIND_JOB)
    is_activity[roots] = True
    row = np.flatnonzero(is_activity).astype(np.int64)
    of_row = np.full(len(kinds), NONE, dtype=np.int64)
    of_row[row] = np.arange(len(row))

    members = np.flatnonzero((kinds != "") & ~is_activity)
    owner_ids = spans.texts(members, schema.ACTIVITY)
    owner = spans.find(spans.trace_ids[members], owner_ids)
    owner = np.where(owner_ids == "", spans.parents[members], owner)
    of_row[members] = np.where(owner >= 0, of_row[owner], NONE)
    # a block of the loop outside any request is a trace of its own, without an activity
    nobodys = (kinds[members] == schema.KIND_BLOCK) & (owner_ids == "") & (spans.parents[members] < 0)
    orphans = members[(of_row[members] < 0) & ~nobodys]
    findings = finding(
        "orphan-span", "spans belong to a task or job that is not in the trace and were left out",
        spans.trace_ids[orphans],
    )  # fmt: skip

    end = spans.end[row].copy()
    is_job = kinds[row] == schema.KIND_JOB
    runs = np.flatnonzero((kinds == schema.KIND_RUN) & (of_row >= 0))
    last_run = np.full(len(row), np.iinfo(np.int64).min, dtype=np.int64)
    np.maximum.at(last_run, of_row[runs], spans.end[runs])
    ran = is_job & (last_run >= spans.start[row])
    # a result from another process is received and unpickled after the run: that is part of the job
    remote = runs[[value is True for value in spans.values(runs, schema.PROCESS)]]
    of_remote = np.zeros(len(row), dtype=bool)
    of_remote[of_row[remote]] = True
    late = np.flatnonzero(np.isin(kinds, [schema.KIND_PHASE, schema.KIND_WAIT]) & (of_row >= 0))
    late = late[of_remote[of_row[late]]]
    np.maximum.at(last_run, of_row[late], spans.end[late])
    end[ran] = last_run[ran]

    activities = _lay_out(
        Activities(
            row=row, start=spans.start[row], end=end, vstart=row, vend=row, spawner=_spawners(spans, row, of_row),
            trace=spans.traces[row], is_job=is_job, foreign=np.zeros(len(row), dtype=bool), of_row=of_row,
            waits=Waits(row, row, row, row, row),
        )
    )  # fmt: skip
    waits, unresolved = _recorded_waits(spans, activities)
    return activities, waits, findings + unresolved


def _spawners(spans: SpanTable, row: Ints, of_row: Ints) -> Ints:
    found = spans.find(spans.trace_ids[row], spans.texts(row, schema.SPAWNED_BY))
    elsewhere = spans.texts(row, schema.SPAWNED_BY_TRACE)
    here = (found >= 0) & ((elsewhere == "") | (elsewhere == spans.trace_ids[row]))
    spawner = np.where(here, of_row[found], NONE)
    return np.where(spawner == np.arange(len(row)), NONE, spawner)


def _recorded_waits(spans: SpanTable, activities: Activities) -> tuple[RawWaits, list[Finding]]:
    rows = np.flatnonzero((spans.kinds == schema.KIND_WAIT) & (activities.of_row >= 0)).astype(np.int64)
    types = spans.texts(rows, schema.WAIT)
    waker_ids = spans.texts(rows, schema.WAKER_SPAN_ID)
    waker_traces = spans.texts(rows, schema.WAKER_TRACE_ID)
    waker_traces = np.where(waker_traces == "", spans.trace_ids[rows], waker_traces)
    # whoever comes last to a barrier ends the waits of all: what another request did before that is its own
    met = _awaits(spans, rows, schema.FOR_BARRIER) & (waker_traces != spans.trace_ids[rows])
    held = _is_held(spans, rows) | met
    ended = (types == schema.WAIT_AWAIT) | (types == schema.WAIT_POOL_SHUTDOWN)
    has_edge = ended & (waker_ids != "") & ~held
    found = np.full(len(rows), NONE, dtype=np.int64)
    found[has_edge] = spans.find(waker_traces[has_edge], waker_ids[has_edge])
    waker = np.where(found >= 0, activities.of_row[found], NONE)
    owner = activities.of_row[rows]
    lost = has_edge & (waker < 0)
    said = "waits were ended by work whose span is not in these traces"
    findings = finding("unresolved-waker", said, spans.trace_ids[rows[lost]])
    ahead = _ahead(spans, activities, rows[types == schema.WAIT_LOOP_BUSY])
    turn = np.full(len(rows), NONE, dtype=np.int64)
    at = np.isin(rows, list(ahead))
    waker[at], turn[at] = np.array([ahead[row] for row in rows[at].tolist()], dtype=np.int64).reshape(-1, 2).T
    waker = np.where(waker == owner, NONE, waker)
    waits = RawWaits(owner, spans.start[rows], spans.end[rows], rows, waker, turn)
    _follow_what_was_cut(spans, activities, waits)
    return waits, findings


def _ahead(spans: SpanTable, activities: Activities, rows: Ints) -> dict[int, tuple[int, int]]:
    """Of these waits for the loop those for a step of another task of the same trace, and hardly anything else: that
    task's activity, whose time it was, and when the step began. It ends with the wait.

        root            |~~~~~~ready~~~~~~|--step--|
        endpoint's task |--step: it blocks|
    """
    rows = rows[spans.ints(rows, schema.BLOCKER_NS) >= MOST_AHEAD * (spans.end[rows] - spans.start[rows])]
    at = spans.find(spans.trace_ids[rows], spans.texts(rows, schema.BLOCKER_SPAN_ID))
    rows, owner = rows[at >= 0], activities.of_row[at[at >= 0]]
    blocks = np.flatnonzero((spans.kinds == schema.KIND_BLOCK) & np.isin(activities.of_row, owner[owner >= 0]))
    ends = zip(activities.of_row[blocks].tolist(), spans.end[blocks].tolist(), strict=True)
    begun = dict(zip(ends, spans.start[blocks].tolist(), strict=True))
    found = zip(rows.tolist(), owner.tolist(), spans.end[rows].tolist(), strict=True)
    return {row: (activity, begun[activity, end]) for row, activity, end in found if (activity, end) in begun}


def _follow_what_was_cut(spans: SpanTable, activities: Activities, waits: RawWaits) -> None:
    """A framework awaits the client's end beside the task that streams the answer, and cancels that task then: until then
    the request was that task's. So does `wait_for` before Python 3.12 with the task in which it waits for a limit, when its
    time has passed. Give such waits that task as their waker, and leave out what the cancelling ended.

        root      |~~~~~~~ receive: the client goes ~~~~~~~|
        streaming |--run--|~~sleep~~|--run--|~~~sleep~~~~~~| cancelled
    """
    cut = np.flatnonzero(spans.texts(activities.row, schema.OUTCOME) == schema.OUTCOME_CANCELLED)
    maybe = np.flatnonzero(np.isin(waits.activity, activities.spawner[cut]))
    fired = maybe[spans.texts(waits.row[maybe], schema.WAKER_KIND) == schema.WAKER_TIMER]
    fired = fired[_awaits(spans, waits.row[fired], schema.FOR_LIMITED)]
    limits = waits.activity[_is_held(spans, waits.row)]
    for wait in [*maybe[_awaits(spans, waits.row[maybe], schema.FOR_REQUEST_IO)].tolist(), *fired.tolist()]:
        owner, end = waits.activity[wait], waits.end[wait]
        own = cut[(activities.spawner[cut] == owner) & (activities.start[cut] < end) & (activities.end[cut] >= end)]
        own = own[np.isin(own, limits)] if wait in fired else own
        if len(own):
            streams = own[np.argmin(activities.start[own])]
            waits.waker[wait] = streams
            waits.waker[(waits.activity == streams) & (waits.waker == owner) & (waits.end >= end)] = NONE


def joined(first: Activities, second: Activities) -> Activities:
    """Return both sets as one, with the virtual time line laid out anew."""
    shift = len(first.row)

    def both(name: str) -> Ints:
        return np.concatenate([getattr(first, name), getattr(second, name)])

    moved = np.where(second.spawner >= 0, second.spawner + shift, NONE)
    of_row = np.where((second.of_row >= 0) & (first.of_row < 0), second.of_row + shift, first.of_row)
    together = {name: both(name) for name in ("row", "start", "end", "trace", "is_job", "foreign")}
    spawner = np.concatenate([first.spawner, moved])
    return _lay_out(replace(first, spawner=spawner, of_row=of_row, **together))  # type: ignore[arg-type]


def _lay_out(activities: Activities) -> Activities:
    # one nanosecond between two activities separates their borders
    lengths = activities.end - activities.start + 1
    if float(lengths.sum(dtype=np.float64)) > 2**62:
        raise InputError("the spans add up to more than a century: analyse fewer traces at once")
    vstart = np.cumsum(lengths) - lengths
    return replace(activities, vstart=vstart, vend=vstart + lengths - 1)


def with_waits(activities: Activities, raw: RawWaits, spans: SpanTable) -> tuple[Activities, list[Finding]]:
    """Return the activities with their waits clipped to their lifetime and made disjoint."""
    first, last = activities.start[raw.activity], activities.end[raw.activity]
    start, end = np.clip(raw.start, first, last), np.clip(raw.end, first, last)
    outside = (raw.end - raw.start) - (end - start) > _CLIP_TOLERANCE_NS
    findings = finding(
        "clipped-span", "waits extend beyond their task or job and were clipped",
        spans.trace_ids[raw.row[outside]],
    )  # fmt: skip
    shift = activities.vstart[raw.activity] - first
    order = np.lexsort((raw.row, -end, start + shift))
    vstart, vend = (start + shift)[order], (end + shift)[order]
    row, waker, turn = raw.row[order], raw.waker[order], raw.turn[order]
    clipped, kept = disjoint(vstart, vend)
    overlapping = np.minimum(vend, clipped) - vstart > _CLIP_TOLERANCE_NS
    said = "waits of one task or job overlap: the later one was cut"
    findings += finding("overlapping-waits", said, spans.trace_ids[row[overlapping]])
    waits = Waits(clipped[kept], vend[kept], row[kept], waker[kept], turn[kept])
    return replace(activities, waits=waits), findings


def disjoint(vstart: Ints, vend: Ints) -> tuple[Ints, Bools]:
    """Return where each sorted interval begins after the earlier ones are subtracted, and which remain."""
    if len(vstart) == 0:
        return vstart, np.zeros(0, dtype=bool)
    before = np.concatenate([vstart[:1], np.maximum.accumulate(vend)[:-1]])
    begin = np.maximum(vstart, before)
    return begin, begin < vend


def _is_held(spans: SpanTable, rows: Ints) -> Bools:
    """True for waits for something that others can hold: the critical path does not follow the release."""
    return _awaits(spans, rows, schema.FOR_HELD)


def _awaits(spans: SpanTable, rows: Ints, pattern: str) -> Bools:
    return all_awaits(spans.texts(rows, schema.FOR), spans.texts(rows, schema.FOR_MODULE), pattern)
