"""Names the culprit of a wait from the attributes of its span."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, Final

import numpy as np

from whywait.analysis.causes import Culprit
from whywait.analysis.spans.span_table import NONE, SpanTable
from whywait.tracer import schema

_HOLDERS = tuple(one for one in schema.HOLDERS if one.key != schema.HOLDER_THREADS)
_FARTHEST: Final = 8
_LIBRARIES: Final = ("/site-packages/", "/dist-packages/", "/lib/python3")
COLUMNS = ("segment", "culprit", "file", "line", "trace_id", "span_id", "ns")
# number of the span, name, file, line, trace id, span id, and the culprit's part of the wait span in ns
Named = tuple[int, str, str, int | None, str, str, int]
Columns = Sequence[schema.Column]
Naming = Callable[[SpanTable, int, int], list[Named]]


def _occupants(spans: SpanTable, number: int, row: int) -> list[Named]:
    return listed(spans.attributes[row], number, schema.OCCUPANTS)


def holders(spans: SpanTable, number: int, row: int) -> list[Named]:
    return listed(spans.attributes[row], number, _HOLDERS)


def listed(attributes: dict[str, Any], number: int, columns: Columns) -> list[Named]:
    """The culprits that stand in parallel arrays: name, file, line, trace, span, ns."""
    return [named(number, ns, *at) for *at, ns in rows_of(attributes, columns) if positive_ns(ns)]


def blocker(spans: SpanTable, number: int, row: int) -> list[Named]:
    """Return what ran first, or had what is waited for: each with its part of the wait."""
    attributes = spans.attributes[row]
    if several := listed(attributes, number, schema.BLOCKERS):
        return several
    function = attributes.get(schema.BLOCKER_FUNCTION)
    if not function:
        return []
    file, line = text(attributes, schema.BLOCKER_FILE), line_number(attributes, schema.BLOCKER_LINE)
    trace_id, span_id = text(attributes, schema.BLOCKER_TRACE_ID), text(attributes, schema.BLOCKER_SPAN_ID)
    part = positive_ns(attributes.get(schema.BLOCKER_NS)) or NONE
    return [(number, str(function), file, line, trace_id, span_id, part)]


def _holder(spans: SpanTable, number: int, row: int) -> list[Named]:
    """The chief holder of the lock, else the lock itself."""
    attributes = spans.attributes[row]
    kind = text(attributes, schema.LOCK_KIND) or text(attributes, schema.FOR)
    return blocker(spans, number, row) or _alone(number, kind, attributes, schema.LOCK_FILE, schema.LOCK_LINE)


def _handler(spans: SpanTable, number: int, row: int) -> list[Named]:
    """The holder of the handler's lock, else the handler."""
    return blocker(spans, number, row) or _at_call(spans, number, row, schema.HANDLER)


def _at_call(spans: SpanTable, number: int, row: int, key: str) -> list[Named]:
    attributes = spans.attributes[row]
    return _alone(number, text(attributes, key), attributes, schema.CODE_FILE, schema.CODE_LINE)


def _caller(spans: SpanTable, number: int, row: int) -> list[Named]:
    """What a thread did meanwhile for which a worker waits (`join`, `queue.get`), else the function: on a loop it is the
    one that must not wait."""
    found: list[Named] = []
    if spans.attributes[row].get(schema.WAKER_KIND) == schema.WAKER_THREAD:
        waiter = _activity(spans, row, schema.ACTIVITY)
        found = blocker(spans, number, row) if waiter >= 0 and spans.kinds[waiter] == schema.KIND_JOB else []
    return found or _at_call(spans, number, row, schema.CODE_FUNCTION)


def _alone(number: int, name: str, attributes: dict[str, Any], file: str = "", line: str = "") -> list[Named]:
    """The one culprit of all the wait, with the place that stands under these keys; none without a name."""
    return [(number, name, text(attributes, file), line_number(attributes, line), "", "", NONE)] if name else []


def _pool(spans: SpanTable, number: int, row: int) -> list[Named]:
    attributes = spans.attributes[row]
    makes = text(attributes, schema.POOL_FUNCTION)
    name = makes if makes and not makes.startswith("<") else f"pool {str(attributes.get(schema.POOL_NAME, '?'))!r}"
    return _alone(number, name, attributes, schema.POOL_FILE, schema.POOL_LINE)


def _awaited(spans: SpanTable, number: int, row: int) -> list[Named]:
    attributes = spans.attributes[row]
    if attributes.get(schema.WAIT) == schema.WAIT_LIMITER and (held := _occupants(spans, number, row)):
        return held
    if released := blocker(spans, number, row):  # a lock, or a place in a batch
        return released
    waker, waker_trace = text(attributes, schema.WAKER_NAME), text(attributes, schema.WAKER_TRACE_ID)
    if waker_trace:  # a token, a lock or a place that another request held
        waker_span = text(attributes, schema.WAKER_SPAN_ID)
        return [(number, waker or "another request", "", None, waker_trace, waker_span, NONE)]
    return _at_call(spans, number, row, schema.CODE_FUNCTION) or _alone(
        number, text(attributes, schema.FOR), attributes
    )


def function(spans: SpanTable, number: int, row: int) -> list[Named]:
    """The span's function; of a library's that ran for a request outside the user's code, the request's own, unless it is
    a middleware, which the endpoint does not call."""
    attributes = spans.attributes[row]
    if is_librarys(attributes) and not is_middlewares(
        *(text(attributes, one) for one in (schema.CODE_FUNCTION, schema.CODE_FILE))
    ):
        answers = _root_around(spans, row)
        if text(answers, schema.CODE_FILE) and not is_librarys(answers):
            attributes = answers
    name = text(attributes, schema.CODE_FUNCTION) or spans.names[row]
    file, line = text(attributes, schema.CODE_FILE), line_number(attributes, schema.CODE_LINE)
    return [(number, str(name), file, line, spans.trace_ids[row], spans.span_ids[row], NONE)]


def is_librarys(attributes: dict[str, Any]) -> bool:
    """Return whether the code that a span with these attributes ran is a library's."""
    return in_library(text(attributes, schema.CODE_FILE))


def is_middlewares(function: str, file: str) -> bool:
    """Return whether this is a middleware's own code: what it computes, no endpoint called."""
    return re.search(schema.MIDDLEWARE, file) is not None and not re.match(schema.CALLS_NEXT, function)


@lru_cache(maxsize=4096)
def in_library(file: str) -> bool:
    """Return whether a file is of the standard library or of an installed package."""
    return f"/{schema.INSTALLED_APP}" not in file and any(one in file for one in _LIBRARIES)


def is_users(file: str) -> bool:
    """Return whether a file is known, and of no library: the user's."""
    return file != "" and not in_library(file)


def _root_around(spans: SpanTable, row: int) -> dict[str, Any]:
    """The attributes of the request's own task, for which the span's activity was begun; none where it is not known."""
    key = schema.ACTIVITY
    for _ in range(_FARTHEST):
        row, key = _activity(spans, row, key), schema.SPAWNED_BY
        if row < 0:
            break
        found: dict[str, Any] = spans.attributes[row]
        if found.get(schema.ROOT) is True:
            return found
    return {}


def _activity(spans: SpanTable, row: int, key: str) -> int:
    """The row of the span that the attribute names; NONE where it is not known."""
    return int(spans.find(spans.trace_ids[[row]], np.array([text(spans.attributes[row], key)], dtype=object))[0])


def ran(spans: SpanTable, number: int, row: int) -> list[Named]:
    """The user's functions that samples show, else the span's own, without a place for the server's task."""
    attributes = spans.attributes[row]
    own = spans.trace_ids[row], spans.span_ids[row]
    if seen := _sampled(spans, number, row, schema.RAN):
        return seen
    if attributes.get(schema.ROOT) is True and spans.kinds[row] == schema.KIND_TASK:
        return [(number, spans.names[row], "", None, *own, NONE)]
    return function(spans, number, row)


def of_thread(spans: SpanTable, number: int, row: int) -> list[Named]:
    """What the thread, or job, of no request ran that ended this wait; [] for other waits."""
    ended_by = spans.attributes[row].get(schema.WAKER_KIND)
    if ended_by not in (schema.WAKER_THREAD, schema.WAKER_JOB):
        return []
    own = blocker if ended_by == schema.WAKER_THREAD else function
    return _sampled(spans, number, row, schema.RAN) or own(spans, number, row)


def of_computing(spans: SpanTable, number: int, row: int) -> list[Named]:
    """What computed during this wait: another task of the request, else what the span stands for."""
    return blocker(spans, number, row) or function(spans, number, row)


def called(spans: SpanTable, number: int, row: int) -> list[Named]:
    """The user's functions that slept in a call, as samples show, else the span's own; of a stretch on the loop without a
    function, the task's of which it is one."""
    if seen := _sampled(spans, number, row, schema.CALLED):
        return seen
    if spans.kinds[row] == schema.KIND_BLOCK and not text(spans.attributes[row], schema.CODE_FUNCTION):
        owner = _activity(spans, row, schema.ACTIVITY)
        return ran(spans, number, owner if owner >= 0 else row)
    return function(spans, number, row)


def _sampled(spans: SpanTable, number: int, row: int, columns: Columns) -> list[Named]:
    own = spans.trace_ids[row], spans.span_ids[row]
    rows = rows_of(spans.attributes[row], columns)
    return [named(number, ns, name, file, line, *own) for name, file, line, ns in rows if positive_ns(ns)]


def text(attributes: dict[str, Any], key: str) -> str:
    value = attributes.get(key)
    return value if isinstance(value, str) else ""


def line_number(attributes: dict[str, Any], key: str) -> int | None:
    value = attributes.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


NAMED_BY: Final[dict[Culprit, Naming]] = {
    Culprit.OCCUPANTS: _occupants,
    Culprit.BLOCKER: blocker,
    Culprit.POOL: _pool,
    Culprit.AWAITED: _awaited,
    Culprit.HOLDER: _holder,
    Culprit.HANDLER: _handler,
    Culprit.CALLER: _caller,
}


def named(
    number: int, ns: int, name: object, file: object = "", line: Any = None, trace_id: object = "", span_id: object = ""
) -> Named:
    """Return a culprit as it may stand in a trace: what is missing, or is none, is empty."""
    at = line if positive_ns(line) else None
    return number, str(name), str(file or ""), at, str(trace_id or ""), str(span_id or ""), ns


def rows_of(attributes: dict[str, Any], columns: Columns) -> list[tuple[Any, ...]]:
    """Return the rows of parallel arrays, with None in those that may be omitted; none where another one is missing."""
    arrays: list[Any] = []
    for one in columns:
        array = attributes.get(one.key) or (repeat(None) if one.only_with else [])
        if not array or not isinstance(array, list | repeat):
            return []
        arrays.append(array)
    return list(zip(*arrays, strict=False))


def positive_ns(value: Any) -> int:
    """Return an attribute's number; 0 where it is no number or out of range."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else 0
