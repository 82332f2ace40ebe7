"""Programs from a recording: each activity's stretches become steps; waits that queues caused are left out of them."""

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Final

import numpy as np

from whywait.analysis.attribution.culprit_names import positive_ns, rows_of
from whywait.analysis.errors import InputError
from whywait.analysis.model import Analysis
from whywait.analysis.path.pieces import Pieces, cut_pieces
from whywait.analysis.path.running_frames import nested_frames
from whywait.analysis.path.segments import CPU, RUN_QUEUE
from whywait.analysis.prediction.holds import Parts, Recording, holds_by_activity
from whywait.analysis.prediction.programs import Program
from whywait.analysis.prediction.steps import Activity, usual_functions
from whywait.analysis.spans.activities import Activities, recorded_activities, with_waits
from whywait.analysis.spans.requests import find_requests
from whywait.analysis.spans.span_table import NONE, SpanTable, span_table
from whywait.tracer import schema

# attributes of a service's own spans that say how many items its work is for
ITEMS: Final = ("rows", "items", "batch_size", "db.operation.batch.size", "messaging.batch.message_count")
_DEEPEST: Final = 8  # spans within one another


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
    parts = Parts(
        spans, activities, frames, pieces, pieces.rest_ns, by_activity, children, {}, _items(spans, activities),
        usual_functions(spans, activities, frames),
    )  # fmt: skip
    found = Recording()
    every = np.arange(len(spans.start))
    counts = np.maximum(spans.ints(every, schema.CPU_COUNT), spans.ints(every, schema.PROCESS_CPUS))
    found.gil_wait_ns, found.cpu_wait_share = _waited_for_jobs_ns(spans, activities), _cpu_wait_share(spans, pieces)
    found.cpus = float(counts.max()) if counts.max(initial=0) > 0 else float("inf")
    parts.takes = holds_by_activity(parts, found)
    chosen = set(analysis.analysed["request_id"])
    for row, root in zip(requests.row, requests.root_row, strict=True):
        if root >= 0:
            _add(found, parts, int(activities.of_row[root]), spans.identities[row] in chosen)
    return found


def _items(spans: SpanTable, activities: Activities) -> dict[int, int]:
    """How many items an activity worked on, where one of the service's own spans within it says so, or a library was
    given so many rows."""
    given = spans.ints(activities.row, schema.ITEMS)
    rows = {int(at): int(given[at]) for at in np.flatnonzero(given > 0)}
    found = dict[int, int]()
    for row in np.flatnonzero(spans.kinds == ""):
        said = [value for name in ITEMS if type(value := spans.attributes[row].get(name)) is int and value > 0]
        around = int(spans.parents[row])
        for _ in range(_DEEPEST if said else 0):
            if around < 0 or spans.kinds[around]:
                break
            around = int(spans.parents[around])
        owner = int(activities.of_row[around]) if said and around >= 0 else NONE
        if owner >= 0:
            found[owner] = max(found.get(owner, 0), *said)
    return rows | found


def _job(parts: Parts, activity: int) -> tuple[str, int]:
    if not parts.of.is_job[activity]:
        return "", 0
    function = parts.spans.attributes[parts.of.row[activity]].get(schema.CODE_FUNCTION, "")
    return str(function), parts.items.get(activity, 0)


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


def _cpu_wait_share(spans: SpanTable, pieces: Pieces) -> float:
    """Of the time on a CPU and for one: what was for one that no thread of the process itself used."""
    had, wanted = pieces.amounts_ns[pieces.wait < 0][:, [CPU, RUN_QUEUE]].sum(axis=0)
    used: Counter[bool] = Counter()
    for attributes in spans.attributes.of:
        for kind, *_, ns in rows_of(attributes, schema.CPU_USERS):
            used[kind in (schema.RIVAL_THREAD, schema.RIVAL_NATIVE)] += positive_ns(ns)
    wanted *= used[False] / used.total() if used[True] else 1
    return float(wanted / max(1, had + wanted))


def _add(found: Recording, parts: Parts, root: int, chosen: bool) -> None:
    order, numbers = [root], {root: 0}
    for one in order:
        for child in parts.children[one]:
            if child not in numbers:
                numbers[child] = len(order)
                order.append(child)
    foreign_ns = found.foreign_ns
    steps = tuple(Activity(found, parts, one, numbers).all() for one in order)
    program = Program(steps, tuple(_job(parts, one) for one in order))
    if not chosen:
        found.foreign_ns = foreign_ns
        found.others.append(program)
        return
    found.programs.append(program)
    found.felt_ns.append(int(parts.of.end[root] - parts.of.start[root]))
    found.starts_ns.append(int(parts.of.start[root]))
