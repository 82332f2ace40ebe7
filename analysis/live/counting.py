"""Analyses complete traces and returns what each request adds to the counts. A bad trace affects no other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pandas as pd

from whywait.analysis.live.assembly import Assembly
from whywait.analysis.live.gathered import ATTRIBUTES, END, PARENT, SPAN, START, Gathered, Whole
from whywait.analysis.load.otlp import Row, frame_of
from whywait.analysis.model import Analysis, Traces, span_id_of
from whywait.analysis.pipeline import analyze
from whywait.analysis.spans.requests import LOST_RECORDS
from whywait.tracer import schema

_MOST_CULPRITS: Final = 24  # of one request
_LARGEST_POOL: Final = 1_000_000


class Culprit(NamedTuple):
    """What made a request wait."""

    cause: str
    name: str
    file: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Counted:
    """One request, as counted."""

    endpoint: str
    trace_id: str
    end_ns: int
    wall_ns: int  # felt by the client
    handler_ns: int  # in the handler
    weight: float  # how many requests it represents
    by_cause: dict[str, int]  # ns; empty where the request was not recorded whole
    culprits: dict[Culprit, int]  # ns
    span_id: str = ""  # of its root


@dataclass(frozen=True, slots=True)
class Busy:
    """The run of a request's job on a worker of a pool."""

    pool: str
    size: int
    process: int  # the file it came from
    end_ns: int
    run_ns: int
    weight: float


@dataclass(frozen=True, slots=True)
class Batch:
    """What one round of the analysis adds."""

    requests: tuple[Counted, ...] = ()
    busy: tuple[Busy, ...] = ()
    lost_by_service: str = ""  # losses in the service, as its traces report them; "" for none


def count(wholes: Sequence[Whole], assembly: Assembly, now_s: float, *, service: str | None = None) -> list[Batch]:
    """Analyse whole traces and return what they add. One that cannot be analysed is lost alone: the others are
    analysed again."""
    if not wholes:
        return []
    try:
        found = _analysed(wholes, assembly.context(wholes))
    except Exception:  # one bad trace must not stop the others
        if len(wholes) == 1:
            assembly.lost["trace not analysed"] += 1
            assembly.settled(wholes[0], [], now_s)
            return []
        half = len(wholes) // 2
        parts = (wholes[:half], wholes[half:])
        return [batch for part in parts for batch in count(part, assembly, now_s, service=service)]
    return [_batch(wholes, found, assembly, now_s, service)]


def _analysed(wholes: Iterable[Whole], context: list[Row]) -> Analysis:
    rows = [row for whole in wholes for row in whole.gathered.rows]
    return analyze(Traces(frame_of(rows + context)))


def _batch(wholes: Sequence[Whole], found: Analysis, assembly: Assembly, now_s: float, service: str | None) -> Batch:
    table = found.requests
    if service is not None:
        table = table[table["service"] == service]
    by_trace: dict[str, list[str]] = {}
    for trace_id, request_id in zip(table["trace_id"], table["request_id"], strict=True):
        by_trace.setdefault(trace_id, []).append(span_id_of(trace_id, request_id))
    weights = table.groupby("trace_id")["weight"].max().to_dict()
    chosen: set[tuple[str, str]] = set()
    busy: list[Busy] = []
    for whole in wholes:
        trace = whole.gathered
        # before `settled` resets which spans are new
        busy += _busy(trace, float(weights.get(trace.trace_id, 0.0)))
        new = assembly.settled(whole, by_trace.get(trace.trace_id, ()), now_s)
        chosen.update((trace.trace_id, one) for one in new)
    said = [one.message for one in found.findings if one.code == LOST_RECORDS]
    return Batch(tuple(_requests(table, found, chosen)), tuple(busy), said[0] if said else "")


def _requests(table: pd.DataFrame, found: Analysis, chosen: set[tuple[str, str]]) -> Iterable[Counted]:
    sums = _sums(found.causes, ["cause"], "amount_ns")
    held = _sums(found.culprits, ["cause", "culprit", "culprit_file", "culprit_line"], "ns")
    columns = ("trace_id", "request_id", "endpoint", "end_ns", "wall_ns", "handler_ns", "weight")
    for trace_id, request_id, endpoint, end_ns, wall_ns, handler_ns, weight in zip(
        *(table[name].tolist() for name in columns), strict=True
    ):
        key = (trace_id, request_id)
        span_id = span_id_of(*key)
        if (trace_id, span_id) in chosen:
            culprits = {
                Culprit(cause, name, file, None if pd.isna(line) else int(line)): ns
                for (cause, name, file, line), ns in held.get(key, ())[:_MOST_CULPRITS]
                if name
            }
            by_cause = {cause: ns for (cause,), ns in sums.get(key, ())}
            yield Counted(endpoint, trace_id, end_ns, wall_ns, handler_ns, weight, by_cause, culprits, span_id)


def _sums(table: pd.DataFrame, by: list[str], amount: str) -> dict[tuple[str, str], list[tuple[tuple[Any, ...], int]]]:
    """Return for each request its sums by these columns, largest first."""
    keys = ["trace_id", "request_id", *by]
    grouped = table.groupby(keys, dropna=False, observed=True, sort=False)[amount].sum()
    grouped = grouped.sort_values(ascending=False, kind="stable")
    found: dict[tuple[str, str], list[tuple[tuple[Any, ...], int]]] = {}
    for key, ns in zip(grouped.index, grouped.tolist(), strict=True):
        found.setdefault((key[0], key[1]), []).append((key[2:], ns))
    return found


def _busy(trace: Gathered, weight: float) -> Iterable[Busy]:
    """The runs of a trace's jobs on pools, where its spans came since it was analysed last."""
    new = trace.rows[trace.new_from :] if weight else []
    jobs = {row[SPAN]: row[ATTRIBUTES] for row in _of_kind(new, schema.KIND_JOB) if schema.POOL_NAME in row[ATTRIBUTES]}
    for row in _of_kind(new, schema.KIND_RUN):
        if row[PARENT] in jobs:
            name, size = (jobs[row[PARENT]].get(key) for key in (schema.POOL_NAME, schema.POOL_SIZE))
            yield Busy(str(name), _size(size), trace.source, row[END], max(row[END] - row[START], 0), weight)


def _size(told: Any) -> int:
    return told if isinstance(told, int) and 0 < told < _LARGEST_POOL else 0


def _of_kind(rows: Iterable[Row], kind: str) -> list[Row]:
    return [row for row in rows if row[ATTRIBUTES].get(schema.KIND) == kind]
