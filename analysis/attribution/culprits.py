"""What made the request wait, or what it ran: one row per segment and culprit."""

from typing import Final

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
    text,
)
from whywait.analysis.causes import CAUSES, NUMBER, Cause, Culprit
from whywait.analysis.path.exact_shares import spread
from whywait.analysis.path.segments import CALL, CPU, GIL, REST, RUN_QUEUE, Segments
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.span_table import NONE, Ints, SpanTable, Texts, taken
from whywait.tracer import schema

_NOWHERE: Final = ("", "", None)


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
    table = _of_activity(spans, table, np.where(of_others, row, NONE)[table["segment"].to_numpy(dtype=np.int64)])
    return table.sort_values(["segment", "ns"], ascending=[True, False], kind="stable").reset_index(drop=True)


def _of_activity(spans: SpanTable, table: pd.DataFrame, rows: Ints) -> pd.DataFrame:
    """The culprits that are named by their place alone, as the activity of another request in which the wait was found."""
    unknown = (rows >= 0) & (table["span_id"] == "").to_numpy(dtype=bool)
    found = {"trace_id": spans.trace_ids, "span_id": spans.span_ids}
    return table.assign(**{key: np.where(unknown, ids[rows], table[key]) for key, ids in found.items()})


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
    unplaced, (once, back) = unplaced[rows >= 0], np.unique(rows[rows >= 0], return_inverse=True)
    # most have no place of their own, and nothing above them is asked for one
    placed = (spans.texts(once, schema.CODE_FILE) != "") | np.isin(spans.kinds[once], ("", schema.KIND_PHASE))
    found = [_by_span(spans, row) if may_be else _NOWHERE for row, may_be in zip(once.tolist(), placed, strict=True)]
    by, columns["file"][unplaced], columns["line"][unplaced] = (
        objects([one[at] for one in found])[back] for at in range(3)
    )
    columns["culprit"][unplaced] = np.where(by == "", columns["culprit"][unplaced], by)
    return table.assign(**{name: pd.Series(values, dtype=object) for name, values in columns.items()})


def _by_span(spans: SpanTable, row: int) -> tuple[str, str, int | None]:
    """The name, "" where the culprit keeps its own, and the code location of a culprit's span."""
    by, file, line = _place(spans, row)
    if spans.kinds[row] == schema.KIND_TASK and spans.attributes[row].get(schema.ROOT) is True:
        return spans.names[spans.parents[row]] if file and spans.parents[row] >= 0 else "", "", None
    # who makes a client is the culprit
    return by if spans.attributes[row].get(schema.PHASE) == schema.PHASE_CLIENT else "", file, line


def _place(spans: SpanTable, row: int) -> tuple[str, str, int | None]:
    """The code location of a span's function; for a phase inside a library, that of the calling job."""
    while True:
        known = spans.attributes[row]
        if file := text(known, schema.CODE_FILE):
            return text(known, schema.CODE_FUNCTION), file, line_number(known, schema.CODE_LINE)
        if spans.kinds[row] not in ("", schema.KIND_PHASE) or spans.parents[row] < 0:
            return _NOWHERE
        row = int(spans.parents[row])


def _once(
    spans: SpanTable, chosen: NDArray[np.bool_], rows: Ints, amount: Ints, name: Naming, whole: str = ""
) -> tuple[Ints, Texts, Ints]:
    """Name the culprits of each distinct span once, then give each segment its share of them.

    Their shares are of the span's length, or of its attribute `whole`. Returns segments, who is Named, and ns.
    """
    segments = np.flatnonzero(chosen)
    once, back = np.unique(rows[segments], return_inverse=True)
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
