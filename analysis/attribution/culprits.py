"""Who made the request wait, or what it ran: one row per segment and culprit."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whywait.analysis.attribution.cause_of_segment import Described
from whywait.analysis.attribution.cpu_rivals import cpu_rivals
from whywait.analysis.causes import CAUSES, Cause
from whywait.analysis.path.exact_shares import spread
from whywait.analysis.path.segments import CALL, CPU, GIL, REST, RUN_QUEUE, Segments
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.span_table import NONE, Ints, SpanTable, taken
from whywait.tracer import schema

_NUMBER = {cause: number for number, cause in enumerate(CAUSES)}
_POOL_CAUSES = (Cause.POOL_STARTUP, Cause.POOL_SHUTDOWN)
_BLOCKED = (Cause.LOOP_BUSY, Cause.COLLECT_ORDER)
_OCCUPIED = (Cause.POOL_QUEUE, Cause.GPU_QUEUE)
_NAMED_AWAITS = (Cause.AWAIT_IO, Cause.LIMITER_WAIT, Cause.REQUEST_IO)
_HOLDERS = (
    schema.HOLDER_NAMES, schema.HOLDER_FILES, schema.HOLDER_LINES, schema.HOLDER_TRACE_IDS, schema.HOLDER_SPAN_IDS,
    schema.HOLDER_NS,
)  # fmt: skip
_BLOCKERS = (
    schema.BLOCKERS_NAMES, schema.BLOCKERS_FILES, schema.BLOCKERS_LINES, schema.BLOCKERS_TRACE_IDS,
    schema.BLOCKERS_SPAN_IDS, schema.BLOCKERS_NS,
)  # fmt: skip
COLUMNS = ("segment", "culprit", "file", "line", "trace_id", "span_id", "ns")
Named = tuple[int, str, str, int | None, str, str, int]  # COLUMNS; ns is the culprit's part of the wait span


def find_culprits(
    spans: SpanTable, activities: Activities, segments: Segments, described: Described, request_rows: Ints
) -> pd.DataFrame:
    """Return the culprits of the segments that have one, the chief culprit of each first."""
    amount = segments.end - segments.start
    rest = segments.part == REST
    by_wait = described.is_wait & rest
    causes = described.cause
    parts = [
        _once(spans, by_wait & _is_any(causes, _OCCUPIED), described.span, amount, _occupants),
        _once(
            spans,
            (segments.part == GIL) & (described.sampled >= 0),
            described.sampled,
            amount,
            _holders,
            whole=schema.GIL_NS,
        ),
        _once(
            spans,
            (segments.part == RUN_QUEUE) & (described.queued >= 0),
            described.queued,
            amount,
            cpu_rivals,
            whole=schema.RUN_QUEUE_NS,
        ),
        _once(spans, by_wait & _is_any(causes, _BLOCKED), described.span, amount, _blocker),
        _once(spans, by_wait & _is_any(causes, _POOL_CAUSES), described.span, amount, _pool),
        _once(spans, by_wait & _is_any(causes, _NAMED_AWAITS), described.span, amount, _awaited),
        _once(spans, by_wait & (causes == _NUMBER[Cause.LOCK_WAIT]), described.span, amount, _holder),
        _once(spans, rest & (causes == _NUMBER[Cause.LOGGING_WAIT]), described.span, amount, _handler),
        _once(spans, by_wait & (causes == _NUMBER[Cause.BLOCKING_IO]), described.span, amount, _call_site),
        _once(
            spans, np.isin(segments.part, [CPU, CALL]) & ~described.is_wait, described.span, amount, _function
        ),
    ]
    named = np.zeros(len(amount), dtype=bool)
    for part in parts:
        named[part["segment"].to_numpy(dtype=np.int64)] = True
    row = taken(activities.row, segments.activity)
    elsewhere = (row >= 0) & ~named
    elsewhere &= taken(spans.traces, row) != spans.traces[request_rows[segments.request]]
    parts.append(_once(spans, elsewhere, row, amount, _function))
    table = _placed(spans, pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True))
    return table.sort_values(["segment", "ns"], ascending=[True, False], kind="stable").reset_index(drop=True)


def _placed(spans: SpanTable, table: pd.DataFrame) -> pd.DataFrame:
    """The culprits that were named by their span alone, with the place that stands on it.

    A request's own task has the server's outermost coroutine for a name, which says nothing: it is named
    after the request.
    """
    unplaced = np.flatnonzero(((table["file"] == "") & (table["span_id"] != "")).to_numpy(dtype=bool))
    if len(unplaced) == 0:
        return table
    columns = {name: table[name].to_numpy(dtype=object).copy() for name in ("culprit", "file", "line")}
    rows = spans.find(
        table["trace_id"].to_numpy(dtype=object)[unplaced], table["span_id"].to_numpy(dtype=object)[unplaced]
    )
    for at, row in zip(unplaced[rows >= 0], rows[rows >= 0], strict=True):
        file, line = _place(spans, int(row))
        is_root = spans.kinds[row] == schema.KIND_TASK and spans.attributes[row].get(schema.ROOT) is True
        if is_root and file and spans.parents[row] >= 0:
            columns["culprit"][at] = spans.names[spans.parents[row]]
        elif not is_root:
            columns["file"][at], columns["line"][at] = file, line
    return table.assign(**columns)


def _place(spans: SpanTable, row: int) -> tuple[str, int | None]:
    """Where a span's function stands; for a phase that a library's call was, the job that called it."""
    while True:
        file = _text(spans.attributes[row], schema.CODE_FILE)
        if file:
            return file, _line(spans.attributes[row], schema.CODE_LINE)
        if spans.kinds[row] not in ("", schema.KIND_PHASE) or spans.parents[row] < 0:
            return "", None
        row = int(spans.parents[row])


def _is_any(causes: Ints, wanted: tuple[Cause, ...]) -> NDArray[np.bool_]:
    return np.isin(causes, [_NUMBER[cause] for cause in wanted])


def _once(
    spans: SpanTable, chosen: NDArray[np.bool_], rows: Ints, amount: Ints, name: Any, whole: str = ""
) -> pd.DataFrame:
    """Name the culprits of each distinct span once, then give each segment its part of them.

    Their shares are of the span's length, or of its attribute `whole`.
    """
    segments = np.flatnonzero(chosen)
    once, back = np.unique(rows[segments], return_inverse=True)
    listed = [named for number, row in enumerate(once) for named in name(spans, number, int(row))]
    table = pd.DataFrame(listed, columns=list(COLUMNS))
    # the culprits of a span stand together: repeat them for each of its segments
    of_span = table["segment"].to_numpy(dtype=np.int64)
    first = np.searchsorted(of_span, np.arange(len(once)), side="left")
    count = np.searchsorted(of_span, np.arange(len(once)), side="right") - first
    repeat = count[back]
    index = (
        np.arange(repeat.sum())
        - np.repeat(np.cumsum(repeat) - repeat, repeat)
        + np.repeat(first[back], repeat)
    )
    result = table.take(index).reset_index(drop=True)
    which = np.repeat(np.arange(len(segments)), repeat)
    result["segment"] = segments[which]
    result["ns"] = _parts(
        amount[segments],
        result["ns"].to_numpy(dtype=np.int64),
        which,
        spans.ints(rows[segments], whole) if whole else (spans.end - spans.start)[rows[segments]],
    )
    return result[result["ns"] > 0]


def _parts(amount: Ints, shares: Ints, which: Ints, length: Ints) -> Ints:
    """Return the shares scaled to the part of the wait that lies on the path; NONE means all of it."""
    shares = np.where(shares == NONE, np.maximum(length, amount)[which], shares)
    named = np.bincount(which, weights=shares, minlength=len(amount))
    of = np.maximum(np.maximum(named, length), 1)
    totals = np.rint(amount * (named / of)).astype(np.int64)
    return spread(totals, shares, which)


def _occupants(spans: SpanTable, number: int, row: int) -> list[Named]:
    attributes = spans.attributes[row]
    arrays = [attributes.get(key) for key in (
        schema.OCCUPANT_NAMES, schema.OCCUPANT_TRACE_IDS, schema.OCCUPANT_SPAN_IDS, schema.OCCUPANT_NS,
    )]  # fmt: skip
    if not all(isinstance(array, list) for array in arrays):
        return []
    return [
        (number, str(name), "", None, str(trace_id or ""), str(span_id or ""), ns)
        for name, trace_id, span_id, ns in zip(*arrays, strict=False)
        if isinstance(ns, int) and 0 < ns < 2**53
    ]


def _holders(spans: SpanTable, number: int, row: int) -> list[Named]:
    return _listed(spans.attributes[row], number, _HOLDERS)


def _listed(attributes: dict[str, Any], number: int, keys: tuple[str, ...]) -> list[Named]:
    """The culprits that stand in parallel arrays: name, file, line, trace, span, ns."""
    arrays = [attributes.get(key) for key in keys]
    if not all(isinstance(array, list) for array in arrays):
        return []
    return [
        (number, str(name), str(file or ""), line if isinstance(line, int) and line > 0 else None,
         str(trace_id or ""), str(span_id or ""), ns)
        for name, file, line, trace_id, span_id, ns in zip(*arrays, strict=False)
        if isinstance(ns, int) and 0 < ns < 2**53
    ]  # fmt: skip


def _blocker(spans: SpanTable, number: int, row: int) -> list[Named]:
    attributes = spans.attributes[row]
    if several := _listed(attributes, number, _BLOCKERS):
        return several
    function = attributes.get(schema.BLOCKER_FUNCTION)
    if not function:
        return []
    ns = attributes.get(schema.BLOCKER_NS)
    file, line = _text(attributes, schema.BLOCKER_FILE), _line(attributes, schema.BLOCKER_LINE)
    trace_id, span_id = _text(attributes, schema.BLOCKER_TRACE_ID), _text(attributes, schema.BLOCKER_SPAN_ID)
    part = ns if isinstance(ns, int) and 0 < ns < 2**53 else NONE
    return [(number, str(function), file, line, trace_id, span_id, part)]


def _holder(spans: SpanTable, number: int, row: int) -> list[Named]:
    """Who held the lock longest, else the lock itself."""
    attributes = spans.attributes[row]
    named = _blocker(spans, number, row)
    if named:
        return named
    file, line = _text(attributes, schema.LOCK_FILE), _line(attributes, schema.LOCK_LINE)
    kind = _text(attributes, schema.LOCK_KIND) or _text(attributes, schema.FOR)
    return [(number, kind, file, line, "", "", NONE)] if kind else []


def _handler(spans: SpanTable, number: int, row: int) -> list[Named]:
    """Who held the handler's lock, else the handler."""
    attributes = spans.attributes[row]
    handler = _text(attributes, schema.HANDLER)
    file, line = _text(attributes, schema.CODE_FILE), _line(attributes, schema.CODE_LINE)
    named = [(number, handler, file, line, "", "", NONE)] if handler else []
    return _blocker(spans, number, row) or named


def _call_site(spans: SpanTable, number: int, row: int) -> list[Named]:
    """The function that made the call."""
    attributes = spans.attributes[row]
    function = _text(attributes, schema.CODE_FUNCTION)
    file, line = _text(attributes, schema.CODE_FILE), _line(attributes, schema.CODE_LINE)
    return [(number, function, file, line, "", "", NONE)] if function else []


def _pool(spans: SpanTable, number: int, row: int) -> list[Named]:
    attributes = spans.attributes[row]
    name = f"pool {str(attributes.get(schema.POOL_NAME, '?'))!r}"
    return [
        (number, name, _text(attributes, schema.POOL_FILE), _line(attributes, schema.POOL_LINE), "", "", NONE)
    ]


def _awaited(spans: SpanTable, number: int, row: int) -> list[Named]:
    attributes = spans.attributes[row]
    if attributes.get(schema.WAIT) == schema.WAIT_LIMITER and (held := _occupants(spans, number, row)):
        return held
    if released := _blocker(spans, number, row):  # a lock or a turn
        return released
    awaited = _text(attributes, schema.FOR)
    waker, waker_trace = _text(attributes, schema.WAKER_NAME), _text(attributes, schema.WAKER_TRACE_ID)
    if waker_trace:  # a token, a lock or a turn that another request had
        waker_span = _text(attributes, schema.WAKER_SPAN_ID)
        return [(number, waker or "another request", "", None, waker_trace, waker_span, NONE)]
    return [(number, awaited, "", None, "", "", NONE)] if awaited else []


def _function(spans: SpanTable, number: int, row: int) -> list[Named]:
    attributes = spans.attributes[row]
    name = _text(attributes, schema.CODE_FUNCTION) or spans.names[row]
    return [
        (
            number, str(name), _text(attributes, schema.CODE_FILE), _line(attributes, schema.CODE_LINE),
            spans.trace_ids[row], spans.span_ids[row], NONE,
        )
    ]  # fmt: skip


def _text(attributes: dict[str, Any], key: str) -> str:
    value = attributes.get(key)
    return value if isinstance(value, str) else ""


def _line(attributes: dict[str, Any], key: str) -> int | None:
    value = attributes.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None
