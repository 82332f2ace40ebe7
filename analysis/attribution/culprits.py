"""What made the request wait, or what it ran: one row per segment and culprit."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whywait.analysis.attributes import objects
from whywait.analysis.attribution.cause_of_segment import Described
from whywait.analysis.attribution.cpu_rivals import cpu_rivals
from whywait.analysis.attribution.culprit_names import (  # fmt: skip
    COLUMNS,
    NAMED_BY,
    Naming,
    called,
    function,
    holders,
    line_number,
    of_computing,
    of_thread,
    ran,
)
from whywait.analysis.attribution.short_stretches import name_by_waits, name_short_stretches
from whywait.analysis.causes import CAUSES, NUMBER, Cause, Culprit
from whywait.analysis.path.exact_shares import spread
from whywait.analysis.path.segments import CALL, CPU, GIL, REST, RUN_QUEUE, Segments
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.span_table import NONE, Ints, SpanTable, Texts, nearest, taken
from whywait.tracer import schema


def find_culprits(
    spans: SpanTable, activities: Activities, segments: Segments, described: Described, request_rows: Ints
) -> pd.DataFrame:
    """Return one row per segment and culprit, the chief culprit of each segment first; segments without one have no row."""
    amount = segments.end - segments.start
    rest = segments.part == REST
    gil = (segments.part == GIL) & (described.sampled >= 0)
    queued = (segments.part == RUN_QUEUE) & (described.queued >= 0)
    running = np.isin(segments.part, [CPU, CALL]) & ~described.is_wait
    parts = [
        _once(spans, gil, described.sampled, amount, holders, whole=schema.GIL_NS),
        _once(spans, queued, described.queued, amount, cpu_rivals, whole=schema.RUN_QUEUE_NS),
        _once(spans, running & (segments.part == CPU), described.span, amount, ran, whole=schema.CPU_NS),
        _once(
            spans, (segments.part == CPU) & described.is_wait, described.span, amount, of_thread, whole=schema.CPU_NS
        ),
        _once(spans, running & (segments.part == CALL), described.span, amount, called, whole=schema.CALL_NS),
    ]
    computes = rest & described.is_wait & (described.cause == NUMBER[Cause.COMPUTE])
    parts.append(_once(spans, computes, described.span, amount, of_computing))
    kinds = np.array([cause.info.culprit for cause in CAUSES], dtype=object)[described.cause]
    for kind, name in NAMED_BY.items():
        # a handler's phase names it also where no wait was recorded inside it
        chosen = rest & (kinds == kind) & (described.is_wait | (kind is Culprit.HANDLER))
        parts.append(_once(spans, chosen, described.span, amount, name))
    named = np.zeros(len(amount), dtype=bool)
    for part in parts:
        named[part[0]] = True
    row = taken(activities.row, segments.activity)
    of_others = (row >= 0) & (taken(spans.traces, row) != spans.traces[request_rows[segments.request]])
    parts.append(_once(spans, of_others & ~named, row, amount, function))
    segment, listed, ns = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    columns = list(zip(*listed, strict=True)) or [()] * len(COLUMNS)
    texts = {name: pd.Series(columns[at], dtype=object) for at, name in enumerate(COLUMNS[1:-1], start=1)}
    table = _placed(spans, pd.DataFrame({"segment": segment, **texts, "ns": ns}))
    table = _of_phases(spans, table, (described.cause == NUMBER[Cause.COMPUTE])[segment])
    table = _of_activity(spans, table, np.where(of_others, row, NONE)[table["segment"].to_numpy(dtype=np.int64)])
    table = name_short_stretches(spans, segments, described.cause, request_rows, table)
    table = name_by_waits(spans, request_rows, table)
    return table.sort_values(["segment", "ns"], ascending=[True, False], kind="stable").reset_index(drop=True)


def _of_activity(spans: SpanTable, table: pd.DataFrame, rows: Ints) -> pd.DataFrame:
    """The culprits that are named by their place alone, as the activity of another request in which the wait was found."""
    unknown = (rows >= 0) & (table["span_id"] == "").to_numpy(dtype=bool)
    for key, ids in (("trace_id", spans.trace_ids), ("span_id", spans.span_ids)):
        table[key] = pd.Series(np.where(unknown, ids[rows], table[key]), dtype=object)
    return table


def _placed(spans: SpanTable, table: pd.DataFrame) -> pd.DataFrame:
    """The culprits that are named by their span alone, with the code location of that span.

    The name of a request's own task is the server's outermost coroutine, which is of no use: the request's
    name replaces it.
    """
    unplaced = np.flatnonzero(((table["file"] == "") & (table["span_id"] != "")).to_numpy(dtype=bool))
    if len(unplaced) == 0:
        return table
    columns = {name: table[name].to_numpy(dtype=object).copy() for name in ("culprit", "file", "line")}
    rows = spans.find(
        table["trace_id"].to_numpy(dtype=object)[unplaced], table["span_id"].to_numpy(dtype=object)[unplaced]
    )
    unplaced, rows = unplaced[rows >= 0], rows[rows >= 0]
    # a phase inside a library stands where its job calls
    files, parents = spans.texts(np.arange(len(spans.start)), schema.CODE_FILE), spans.parents[rows]
    at = nearest(spans.parents, (files != "") | ~np.isin(spans.kinds, ("", schema.KIND_PHASE)))[rows]
    by = np.where(at >= 0, spans.texts(at, schema.CODE_FUNCTION), "")
    file = np.where(at >= 0, files[at], "")
    line = objects([line_number({"": one}, "") for one in spans.values(at, schema.CODE_LINE)])
    root = np.array([one is True for one in spans.values(rows, schema.ROOT)], dtype=bool)
    root &= spans.kinds[rows] == schema.KIND_TASK
    above = np.where((file != "") & (parents >= 0), spans.names[parents], "")
    # who makes a client is the culprit
    by = np.where(root, above, np.where(spans.texts(rows, schema.PHASE) == schema.PHASE_CLIENT, by, ""))
    file[root], line[root | (file == "")] = "", None
    columns["file"][unplaced], columns["line"][unplaced] = file, line
    columns["culprit"][unplaced] = np.where(by == "", columns["culprit"][unplaced], by)
    return table.assign(**{name: pd.Series(values, dtype=object) for name, values in columns.items()})


def _of_phases(spans: SpanTable, table: pd.DataFrame, computes: NDArray[np.bool_]) -> pd.DataFrame:
    """Phases that compute and of which no sample shows who called them have the caller that samples show of most others of
    this name and job."""
    if not (spans.kinds == schema.KIND_PHASE).any():
        return table
    rows = spans.find(*(table[key].to_numpy(dtype=object) for key in ("trace_id", "span_id")))
    names = np.where((rows >= 0) & (spans.kinds[rows] == schema.KIND_PHASE), spans.names[rows], "")
    jobs = spans.names[nearest(spans.parents, spans.kinds != schema.KIND_PHASE)[rows]]
    table = table.assign(phase=pd.Series(names + "/" + jobs, dtype=object))
    alone = (table["culprit"] == names).to_numpy(dtype=bool)
    places = ["culprit", "file", "line"]
    seen = table[(names != "") & ~alone].groupby(["phase", *places], dropna=False)["ns"].sum().sort_values()
    chief = seen.reset_index().drop_duplicates("phase", keep="last").set_index("phase")
    known = computes & alone & (names != "") & table["phase"].isin(chief.index).to_numpy(dtype=bool)
    for key in places if known.any() else ():
        table[key] = table[key].mask(known, table["phase"].map(chief[key]))
    return table.drop(columns="phase")


def _once(
    spans: SpanTable, chosen: NDArray[np.bool_], rows: Ints, amount: Ints, name: Naming, whole: str = ""
) -> tuple[Ints, Texts, Ints]:
    """Name the culprits of each distinct span once, then give each segment its share of them.

    Their shares are of the span's length, or of its attribute `whole`. Returns segments, who is Named, and ns.
    """
    segments = np.flatnonzero(chosen)
    once, back = np.unique(rows[segments], return_inverse=True)
    spans.attributes.fetch(once)
    listed = objects([named for number, row in enumerate(once.tolist()) for named in name(spans, number, row)])
    # the culprits of a span are adjacent: repeat them for each of its segments
    of_span = np.array([one[0] for one in listed], dtype=np.int64)
    first = np.searchsorted(of_span, np.arange(len(once)), side="left")
    count = np.searchsorted(of_span, np.arange(len(once)), side="right") - first
    repeat = count[back]
    index = np.arange(repeat.sum()) + np.repeat(first[back] - (np.cumsum(repeat) - repeat), repeat)
    which = np.repeat(np.arange(len(segments)), repeat)
    length = spans.ints(rows[segments], whole) if whole else (spans.end - spans.start)[rows[segments]]
    shares = np.array([one[-1] for one in listed], dtype=np.int64)[index]
    ns = _parts(amount[segments], shares, which, length)
    some = ns > 0
    return segments[which[some]], listed[index[some]], ns[some]


def _parts(amount: Ints, shares: Ints, which: Ints, length: Ints) -> Ints:
    """Return the shares scaled to the part of the wait on the critical path; NONE means all of it."""
    shares = np.where(shares == NONE, np.maximum(length, amount)[which], shares)
    named = np.bincount(which, weights=shares, minlength=len(amount))
    of = np.maximum(np.maximum(named, length), 1)
    totals = np.rint(amount * (named / of)).astype(np.int64)
    return spread(totals, shares, which)
