"""The text of a segment's detail: a rule's template filled from the attributes of a span."""

from collections.abc import Callable
from typing import Any

import numpy as np

from whywait.analysis.attributes import objects
from whywait.analysis.attribution.cpu_rivals import why_queued
from whywait.analysis.attribution.culprit_names import in_library, rows_of
from whywait.analysis.spans.span_table import Bools, Ints, SpanTable, Texts
from whywait.analysis.text import amount, counted, in_brackets, place
from whywait.tracer import schema


def fill(templates: list[str], which: Ints, spans: SpanTable, rows: Ints) -> Texts:
    """Return each segment's detail; a template is filled once for each span, and is "" where the row is NONE."""
    size = len(spans.start) + 1
    once, back = np.unique(which * size + rows + 1, return_inverse=True)
    texts = []
    of, at = once // size, once % size - 1
    calls = _client_calls(spans, at) | _for_the_user(spans, np.unique(at[at >= 0]))
    spans.attributes.fetch(np.unique(at[at >= 0]))
    for template, row in zip(of, at, strict=True):
        if row < 0:
            texts.append("")
            continue
        known = spans.attributes[row]
        words = _Words(spans.names[row], known | calls[row] if row in calls else known)
        texts.append(templates[template].format_map(words))
    return objects(texts)[back]


def _client_calls(spans: SpanTable, rows: Ints) -> dict[int, dict[str, Any]]:
    """By the row of a wait inside a client library's span: what was called, such as "GET rates:8080/rate"."""
    around = spans.texts(rows, schema.FOR_SPAN)
    waits = rows[(around != "") & (rows >= 0)]
    outer = spans.find(spans.trace_ids[waits], spans.texts(waits, schema.FOR_SPAN))
    client = (outer >= 0) & (spans.span_kinds[outer] == schema.SPAN_CLIENT)
    return {
        int(row): {schema.FOR_CALL: _called(str(spans.names[at]), spans.attributes[at]), schema.FOR_ADDRESS: ""}
        for row, at in zip(waits[client], outer[client], strict=True)
    }


def _for_the_user(spans: SpanTable, rows: Ints) -> dict[int, dict[str, Any]]:
    """By the row of a wait that stands in libraries alone, such as a server's task that reads a body: the user's code that
    awaited what this task did, of the same request, and what it called."""
    files = spans.texts(rows, schema.CODE_FILE)
    librarys = rows[(spans.texts(rows, schema.WAIT) == schema.WAIT_AWAIT) & _of_libraries(files)]
    waits = np.flatnonzero((spans.kinds == schema.KIND_WAIT) & np.isin(spans.traces, spans.traces[librarys]))
    waits = waits[spans.texts(waits, schema.WAKER_KIND) == schema.WAKER_ACTIVITY]
    files = spans.texts(waits, schema.CODE_FILE)
    waits = waits[(files != "") & ~_of_libraries(files)]
    waits = waits[np.argsort(spans.traces[waits], kind="stable")]
    begins, ends = (np.searchsorted(spans.traces[waits], spans.traces[librarys], side) for side in ("left", "right"))
    found = {}
    for row, begin, end in zip(librarys.tolist(), begins, ends, strict=True):
        ended, own = spans.end[row], waits[begin:end]
        around = own[(spans.start[own] < ended) & (spans.end[own] >= ended)]
        if len(around):
            known = spans.attributes[around[np.argmin((spans.end - spans.start)[around])]]
            told = {key: known.get(key) for key in (schema.CODE_FUNCTION, schema.CODE_FILE, schema.CODE_LINE)}
            found[row] = told | {schema.FOR: known.get(schema.FOR_CALL) or spans.attributes[row].get(schema.FOR)}
    return found


def _of_libraries(files: Texts) -> Bools:
    return np.array([in_library(one) for one in files], dtype=bool)


def _called(name: str, known: dict[str, Any]) -> str:
    method, address = known.get("http.request.method"), _asked(known)
    return f"{method} {address}" if method and address else name


def _asked(known: dict[str, Any]) -> str:
    url, host, port = (str(known.get(key) or "") for key in ("url.full", "server.address", "server.port"))
    address = url.partition("://")[2].partition("?")[0].rpartition("@")[2]
    return address or (f"{host}:{port}" if host and port else host)


class _Words(dict[str, str]):
    """The fields that a template may use, computed from a span on demand."""

    def __init__(self, name: str, attributes: dict[str, Any]) -> None:
        super().__init__(span=name, function=attributes.get(schema.CODE_FUNCTION) or name)
        self.attributes = attributes

    def __missing__(self, word: str) -> str:
        return _WORDS[word](self.attributes)


def pool_name(attributes: dict[str, Any]) -> str:
    """Return a pool's name: "pool 'predict' (6 workers)"."""
    size = attributes.get(schema.POOL_SIZE)
    workers = in_brackets(counted(size, "worker")) if isinstance(size, int) else ""
    return f"pool {str(attributes.get(schema.POOL_NAME, '?'))!r}{workers}"


def _connections(attributes: dict[str, Any]) -> str:
    """The pool of connections: "asyncpg Pool, 2 connections, made at app.py:9"."""
    size, made_at = (
        attributes.get(schema.POOL_SIZE),
        place(attributes.get(schema.POOL_FILE), attributes.get(schema.POOL_LINE)),
    )
    many = counted(size, "connection") if isinstance(size, int) and size > 0 else ""
    name = str(attributes.get(schema.POOL_NAME) or "connection pool")
    return ", ".join(filter(None, (name, many, made_at and f"made at {made_at}")))


def lock_name(attributes: dict[str, Any]) -> str:
    """Return a lock's name: "Lock made at bank.py:8 (Account.__init__)"; without its place, the waiting function."""
    kind = str(attributes.get(schema.LOCK_KIND) or attributes.get(schema.FOR) or "a lock")
    made_at = place(attributes.get(schema.LOCK_FILE), attributes.get(schema.LOCK_LINE))
    if not made_at:
        return f"{kind}{_where(attributes)}"
    return f"{kind} made at {made_at} ({attributes.get(schema.LOCK_FUNCTION) or '?'})"


def _at(attributes: dict[str, Any]) -> str:
    return in_brackets(place(attributes.get(schema.CODE_FILE), attributes.get(schema.CODE_LINE)))


def _where(attributes: dict[str, Any]) -> str:
    function = str(attributes.get(schema.CODE_FUNCTION) or "")
    return f" in {function}{_at(attributes)}" if function else ""


def _by_user(attributes: dict[str, Any]) -> str:
    """The user's function; none of a server's or framework's."""
    return "" if in_library(str(attributes.get(schema.CODE_FILE) or "")) else _where(attributes)


def _call(attributes: dict[str, Any]) -> str:
    call, inside = attributes.get(schema.CALL), attributes.get(schema.CALL_OF)
    of = f" of {inside}{in_brackets(str(attributes.get(schema.CALL_PACKAGE) or ''))}" if inside else _inside(attributes)
    return f"{call or 'a system call'}{of}"


def _inside(attributes: dict[str, Any]) -> str:
    """The library's function that the user's code called, in which something blocked, after " of "."""
    inside = attributes.get(schema.FOR_CALL)
    return f" of {inside}{_of_library(attributes)}" if inside else ""


def slept_in(attributes: dict[str, Any]) -> str:
    """Return the user's function that slept for longest in a call, as samples show, else the span's, after " in "."""
    name, file, line, _ = next(iter(rows_of(attributes, schema.CALLED)), ("", "", 0, 0))
    return f" in {name}{in_brackets(place(file, line))}" if name else _where(attributes)


def _awaiting(attributes: dict[str, Any]) -> str:
    """What was awaited: the library's function that the user's code called, else the innermost function; and at which
    step, while its connection was made."""
    if call := attributes.get(schema.FOR_CALL):
        said = f"waiting for {call}{_of_library(attributes)}"
    else:
        leaf = str(attributes.get(schema.FOR) or "something").replace("._wait_for_data", ".read")
        said = f"awaiting {'a future' if leaf == attributes.get(schema.CODE_FUNCTION) else leaf}"
    step = attributes.get(schema.FOR_STEP)
    return f"{said}: {step}," if step and step not in (schema.STEP_PAUSE, schema.STEP_PACE) else said


def _of_library(attributes: dict[str, Any]) -> str:
    """The library of a call, and whom that asks, in brackets."""
    return in_brackets(", ".join(filter(None, map(attributes.get, (schema.FOR_PACKAGE, schema.FOR_ADDRESS)))))


def _blocker(attributes: dict[str, Any]) -> str:
    function = str(attributes.get(schema.BLOCKER_FUNCTION) or "something else")
    return function + in_brackets(place(attributes.get(schema.BLOCKER_FILE), attributes.get(schema.BLOCKER_LINE)))


def queued_in(attributes: dict[str, Any]) -> str:
    """Return the function that had no CPU, after " in ": of the span, else what the loop ran; "" where neither is known."""
    return _where(attributes) or (f" in {_blocker(attributes)}" if attributes.get(schema.BLOCKER_FUNCTION) else "")


def _initializer(attributes: dict[str, Any]) -> str:
    name, ns = attributes.get(schema.POOL_INITIALIZER), attributes.get(schema.POOL_INITIALIZER_NS)
    return f", {amount(ns)} of it in its initializer {name}" if name and isinstance(ns, int) else ""


def _few(attributes: dict[str, Any]) -> str:
    """Too few samples to divide a segment: the span has only their number."""
    count = attributes.get(schema.SAMPLES)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        return ""
    return f" ({counted(count, 'sample')}: too few)"


def _or(key: str, otherwise: str) -> Callable[[dict[str, Any]], str]:
    return lambda attributes: str(attributes.get(key) or otherwise)


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "initializer": _initializer,
    "worker": lambda attributes: "process" if attributes.get(schema.PROCESS) is True else "thread",
    "device": _or(schema.DEVICE, "a device"),
    "pool": pool_name,
    "connections": _connections,
    "awaited": _or(schema.FOR, "something"),
    "inside": _inside,
    "awaiting": _awaiting,
    "timed": lambda attributes: _awaiting(attributes).removeprefix("awaiting "),
    "collected": lambda attributes: (
        f", {attributes[schema.FOR]}{_where(attributes)}" if schema.FOR in attributes else ""
    ),
    "at": _at,
    "where": _where,
    "by_user": _by_user,
    "waker": _or(schema.WAKER_NAME, ""),
    "ended": lambda attributes: (
        f", ended by {attributes[schema.WAKER_NAME]}" if attributes.get(schema.WAKER_NAME) else ""
    ),
    "blocker": _blocker,
    "lock": lock_name,
    "handler": _or(schema.HANDLER, "of unknown name"),
    "call": _call,
    "slept_in": slept_in,
    "syscall": _or(schema.BLOCK_SYSCALL, ""),
    "few": _few,
    "rivals": lambda attributes: why_queued(attributes, queued_in(attributes)),
}
