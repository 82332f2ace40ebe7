"""Finds the requests: SERVER spans, and the root spans and phases of other work.

A root task that tells how its arrival is known (INGRESS_FROM) is the window, which its client felt; the request's own
span in it is the handler. Else the window is that span.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.attributes import objects
from whywait.analysis.model import NO_ARRIVAL, REQUEST_COLUMNS, Finding
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.clean import finding
from whywait.analysis.spans.endpoint_names import endpoints, first_of
from whywait.analysis.spans.span_table import NONE, Bools, Ints, SpanTable, distinct, nearest
from whywait.analysis.text import amount
from whywait.tracer import schema

LOST_RECORDS: Final = "lost-records"  # code of the finding
_MOST_WEIGHT: Final = 1e9  # a larger weight is no count of requests
_STATUS: Final = ("http.response.status_code", "http.status_code")
_SCHEME: Final = ("url.scheme", "http.scheme")


@dataclass(frozen=True, slots=True)
class Requests:
    """One row per request, sorted by time."""

    row: Ints  # the request's own span
    root_row: Ints  # its root task or phase span, NONE in foreign traces and when it was lost
    incomplete: Bools
    foreign: Bools
    start: Ints  # of the window
    end: Ints
    handler_ns: Ints  # the part of the window in the request's own span


def find_requests(spans: SpanTable, activities: Activities) -> tuple[Requests, list[Finding]]:
    """Return the requests of all traces, with findings about those that cannot be analysed."""
    rows = activities.row
    roots = rows[np.array([value is True for value in spans.values(rows, schema.ROOT)], dtype=bool)]
    server = nearest(spans.parents, spans.span_kinds == schema.SPAN_SERVER)[roots]
    # the span of others, or the root phase, with which it began
    above = spans.parents[roots]
    begun = (above >= 0) & np.isin(spans.kinds[above], ("", schema.KIND_PHASE))
    request_row = np.where(begun, above, np.where(server >= 0, server, roots))
    order = np.lexsort((-spans.end[roots], spans.start[roots], request_row))
    request_row, roots = request_row[order], roots[order]
    first = np.append(True, request_row[1:] != request_row[:-1])[: len(request_row)]
    said = "requests have several root tasks: the first one counts"
    findings = finding("second-root", said, spans.trace_ids[roots[~first]])
    request_row, roots = request_row[first], roots[first]

    servers = np.flatnonzero(spans.span_kinds == schema.SPAN_SERVER).astype(np.int64)
    bare = servers[~np.isin(servers, request_row)]
    bare = bare[~_connections(spans, bare)]
    home = _homes(spans, np.arange(len(spans.traces)))
    lost = np.isin(_homes(spans, bare), distinct(home[spans.kinds != ""]))
    marked = np.array([bool(value) for value in spans.values(roots, schema.INCOMPLETE)], dtype=bool)
    row = np.concatenate([request_row, bare])
    root_row = np.concatenate([roots, np.full(len(bare), NONE, dtype=np.int64)])
    start, end, handler_ns = _windows(spans, row, root_row)
    requests = Requests(
        row=row, root_row=root_row, incomplete=np.concatenate([marked, lost]),
        foreign=np.concatenate([np.zeros(len(roots), dtype=bool), ~lost]), start=start, end=end, handler_ns=handler_ns,
    )  # fmt: skip
    findings += _marked(spans, roots[marked])
    for code, said, which in (
        ("missing-root", "requests were recorded without their root task and not analysed", lost),
        ("no-whywait-data", "requests come from a service that whywait did not trace: their causes are guessed from "
         "timing", ~lost),
    ):  # fmt: skip
        findings += finding(code, said, spans.trace_ids[bare[which]])
    findings += _lost(spans, roots) + _untested(spans, roots) + _skewed(spans, roots)
    order = np.argsort(row, kind="stable")  # rows are in order of time
    return Requests(*(getattr(requests, name)[order] for name in Requests.__slots__)), findings


def _windows(spans: SpanTable, row: Ints, roots: Ints) -> tuple[Ints, Ints, Ints]:
    """Return start and end of each request's window, and how much of it lies in the request's own span."""
    felt = roots >= 0
    felt[felt] = spans.texts(roots[felt], schema.INGRESS_FROM) != ""
    window = np.where(felt, roots, row)
    start, end = spans.start[window], spans.end[window]
    # background work after the response may go on in the SERVER span: it is not the request's
    inside = np.minimum(spans.end[row], end) - np.maximum(spans.start[row], start)
    return start, end, np.maximum(inside, 0)


def _connections(spans: SpanTable, servers: Ints) -> Bools:
    """Which SERVER spans are those of a websocket in a service that whywait traced: there each message is a request."""
    schemes = objects(first_of(spans, servers, _SCHEME))
    known = set(spans.services[spans.kinds != ""].tolist())
    traced = np.array([one in known for one in spans.services[servers].tolist()], dtype=bool)
    return np.asarray(np.isin(schemes.astype(str), ("ws", "wss")) & traced, dtype=np.bool_)


def _homes(spans: SpanTable, rows: Ints) -> Ints:
    """Return a number for the trace and service of each row."""
    services = pd.factorize(spans.services)[0].astype(np.int64)
    return np.asarray(spans.traces[rows] * (services.max(initial=0) + 1) + services[rows], dtype=np.int64)


def _marked(spans: SpanTable, roots: Ints) -> list[Finding]:
    reasons: dict[str, list[Any]] = {}
    for row, value in zip(roots, spans.values(roots, schema.INCOMPLETE), strict=True):
        for reason in value if isinstance(value, list) else [value]:
            reasons.setdefault(str(reason), []).append(spans.trace_ids[row])
    said = "requests were not recorded whole and not analysed"
    return [
        found
        for reason, trace_ids in sorted(reasons.items())
        for found in finding("incomplete-trace", f"{said}: {reason}", objects(trace_ids))
    ]


def _lost(spans: SpanTable, roots: Ints) -> list[Finding]:
    rows = np.concatenate([roots, np.flatnonzero(spans.names == schema.LOST_SPAN)])
    lost = spans.ints(rows, schema.LOST)
    rows = rows[lost > 0][np.argsort(lost[lost > 0], kind="stable")]
    whose = zip(
        spans.services[rows].tolist(), *(map(str, spans.values(rows, key)) for key in schema.PROCESS_KEYS), strict=True
    )
    most = dict(zip(whose, rows.tolist(), strict=True))  # of each process: counts only grow
    if not most:
        return []
    of_each = np.array(list(most.values()), dtype=np.int64)
    kinds = _summed(spans.values(of_each, schema.LOST_KINDS))
    said = ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items())) or "of unknown kind"
    total = int(spans.ints(of_each, schema.LOST).sum())
    return [Finding(LOST_RECORDS, f"the traced process lost records or a probe: {said}", total)]


def _summed(told: Iterable[Any]) -> Counter[str]:
    """Add up what processes tell as "3 × request"."""
    found: Counter[str] = Counter()
    for one in chain.from_iterable(one for one in told if isinstance(one, list)):
        number, _, kind = str(one).partition(" × ")
        found[kind] += int(number) if number.isdecimal() else 0
    return found


def _skewed(spans: SpanTable, roots: Ints) -> list[Finding]:
    skew = spans.ints(roots, schema.INGRESS_SKEW_NS)
    said = f"a proxy's clock is ahead of this host's, by up to {amount(int(skew.max(initial=0)))}: its stamps were not used"
    return finding("skewed-clock", said, spans.trace_ids[roots[skew > 0]])


def _untested(spans: SpanTable, roots: Ints) -> list[Finding]:
    words = Counter(str(value) for value in spans.values(roots, schema.UNTESTED) if value)
    said = "the traced process ran on an interpreter with which whywait is not tested, signals may be missing or wrong"
    return [Finding("untested-python", f"{said}: {one}", count) for one, count in sorted(words.items())]


def request_table(spans: SpanTable, requests: Requests) -> tuple[pd.DataFrame, list[Finding]]:
    """Return the requests as a frame with REQUEST_COLUMNS, with findings about their endpoints' names."""
    rows = requests.row
    names, findings = endpoints(spans, rows)
    codes = list(map(_as_int, first_of(spans, rows, _STATUS)))
    # texts stay objects, as those of other tables: pandas looks up its own texts among objects fifteen times slower
    texts = {"trace_id": spans.trace_ids, "request_id": spans.identities, "service": spans.services}
    table = pd.DataFrame(
        {
            **{name: pd.Series(values[rows], dtype=object) for name, values in texts.items()},
            "endpoint": pd.Series(names, dtype=object),
            "status_code": pd.array(codes, dtype="Int64"),
            "error": spans.errors[rows] | np.array([code is not None and code >= 500 for code in codes], dtype=bool),
            "error_type": pd.Series(spans.texts(rows, "error.type"), dtype=object),
            "start_ns": requests.start,
            "end_ns": requests.end,
            "wall_ns": requests.end - requests.start,
            "handler_ns": requests.handler_ns,
            "incomplete": requests.incomplete,
        }
    )
    of_roots = [spans.attributes[row] if row >= 0 else {} for row in requests.root_row]
    table["first_byte_ns"] = np.array([_as_int(one.get(schema.FIRST_BYTE_NS)) or 0 for one in of_roots], dtype=np.int64)
    table["nagle"] = [one.get(schema.EGRESS_NAGLE) is True for one in of_roots]
    table["unfinished"] = [one.get(schema.UNFINISHED) is True for one in of_roots]
    table["signals"] = pd.Series(list(map(_signals, of_roots)), dtype=object)
    table["weight"] = np.array([_weight(one.get(schema.WEIGHT)) for one in of_roots], dtype=np.float64)
    return table.loc[:, list(REQUEST_COLUMNS)], findings


def _signals(root: dict[str, Any]) -> tuple[str, ...]:
    found, unknown = root.get(schema.SIGNALS), root.get(schema.INGRESS_FROM) == schema.INGRESS_READ
    return (*map(str, found), *[NO_ARRIVAL] * unknown) if isinstance(found, list) else ()


def _as_int(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _weight(value: Any) -> float:
    """Return a root span's weight; 1 where it is missing or invalid."""
    valid = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _MOST_WEIGHT
    return value if valid else 1.0
