"""How far Jaeger's critical path of a request and ours are from each other."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from tests.jaeger.critical_path import Bar, Section, critical_path
from whywait import analysis
from whywait.tracer import schema

Says = tuple[str, str]  # "wait" and its span, or "runs" and the activity


class Apart(NamedTuple):
    """A request, and what part of its wall time the two paths say different things of."""

    endpoint: str
    trace_id: str
    share: float
    by_name: float  # the same of the sums by name, whenever they were: of equal jobs either may be taken
    what: list[tuple[tuple[str, str], int]]  # the longest: (Jaeger's span, ours), ns
    waits: int  # named waits on Jaeger's path


def apart(told: analysis.Analysis, bars: Mapping[str, list[Bar]]) -> Iterator[Apart]:
    """Each analysed request whose spans, as Jaeger has them, are given by trace id.

    An instant is agreed on where both name the same wait, or running of the same activity. The time of a job's
    span after its function's end is its waiter's, on the way back from it: waits too short for a span lie there.
    Where our path left for another trace, Jaeger's, which knows one, is to be in the wait that names that trace.
    """
    for request in told.requests[~told.requests["incomplete"]].itertuples():
        if request.trace_id not in bars:
            continue
        spans = told.spans[told.spans["trace_id"] == request.trace_id]
        words = _Words(spans)
        path = sorted(critical_path(bars[request.trace_id]), key=lambda section: section.start_us)
        rows = told.causes[told.causes["trace_id"] == request.trace_id].sort_values("start_ns")
        found: Counter[tuple[str, str]] = Counter()
        sums: Counter[str] = Counter()
        for start_ns, end_ns, section, row in _together(path, list(rows.itertuples())):
            if words.jaeger(section, start_ns) != words.ours(row):
                found[words.names[section.span_id], str(row.span_name)] += end_ns - start_ns
                sums[words.said(words.jaeger(section, start_ns))] += end_ns - start_ns
                sums[words.said(words.ours(row))] -= end_ns - start_ns
        waits = sum(words.is_wait(section.span_id) for section in path)
        share = found.total() / request.wall_ns
        by_name = sum(map(abs, sums.values())) / 2 / request.wall_ns
        yield Apart(request.endpoint, request.trace_id, share, by_name, found.most_common(4), waits)


class _Words:
    def __init__(self, spans: pd.DataFrame) -> None:
        self.names: dict[str, str] = dict(zip(spans["span_id"], spans["name"], strict=True))
        self._attributes: dict[str, dict[str, Any]] = dict(zip(spans["span_id"], spans["attributes"], strict=True))
        (self._root,) = (key for key, one in self._attributes.items() if one.get(schema.ROOT))
        self._root = self._attributes[self._root].get(schema.ACTIVITY, self._root)
        self._out = [
            (start_ns, end_ns, key)
            for key, start_ns, end_ns, one in zip(
                spans["span_id"], spans["start_ns"], spans["end_ns"], spans["attributes"], strict=True
            )
            if one.get(schema.WAKER_TRACE_ID)
        ]
        parents = dict(zip(spans["span_id"], spans["parent_id"], strict=True))
        self._activity = {key: self._activity_of(key, parents) for key in parents}
        self._run_end: dict[str, int] = {
            one[schema.ACTIVITY]: end_ns
            for one, end_ns in zip(spans["attributes"], spans["end_ns"], strict=True)
            if one.get(schema.KIND) == schema.KIND_RUN
        }

    def _activity_of(self, span_id: str, parents: Mapping[str, str]) -> str:
        """A span of the host's is of the activity below which it hangs."""
        while span_id in self._attributes:
            activity = self._attributes[span_id].get(schema.ACTIVITY)
            if activity:
                return str(activity)
            span_id = parents[span_id]
        return str(self._root)

    def is_wait(self, span_id: str) -> bool:
        return bool(self._attributes[span_id].get(schema.KIND) == schema.KIND_WAIT)

    def said(self, says: Says) -> str:
        """By name: a wait's, or that something ran."""
        what, who = says
        return self.names[who] if what == "wait" else what

    def jaeger(self, section: Section, at_ns: int) -> Says:
        attributes = self._attributes[section.span_id]
        if self.is_wait(section.span_id):
            return "wait", section.span_id
        if attributes.get(schema.KIND) == schema.KIND_JOB and at_ns >= self._run_end.get(section.span_id, at_ns + 1):
            return "runs", attributes.get(schema.SPAWNED_BY, self._root)
        return "runs", self._activity[section.span_id]

    def ours(self, row: Any) -> Says:
        if row.span_id in self._attributes and self.is_wait(row.span_id):
            return "wait", row.span_id
        if row.activity_id and row.activity_id not in self._attributes:
            for start_ns, end_ns, key in self._out:
                if start_ns <= row.start_ns < end_ns:
                    return "wait", key
        return "runs", row.activity_id or self._root


def _together(path: list[Section], rows: list[Any]) -> Iterator[tuple[int, int, Section, Any]]:
    at = 0
    for section in path:
        start_ns, end_ns = section.start_us * 1000, section.end_us * 1000
        while at and rows[at - 1].end_ns > start_ns:
            at -= 1
        while at < len(rows) and rows[at].start_ns < end_ns:
            low, high = max(start_ns, rows[at].start_ns), min(end_ns, rows[at].end_ns)
            if low < high:
                yield low, high, section, rows[at]
            at += 1


def bars_of_spans(spans: pd.DataFrame) -> dict[str, list[Bar]]:
    """By trace id, as Jaeger makes them of our spans: start and duration each cut to whole microseconds."""
    bars: dict[str, list[Bar]] = {}
    for one in spans.itertuples():
        start_us = one.start_ns // 1000
        end_us = start_us + (one.end_ns - one.start_ns) // 1000
        bar = Bar(one.span_id, one.parent_id, start_us, end_us, one.name, one.span_kind)
        bars.setdefault(one.trace_id, []).append(bar)
    return bars


def bars_of_jaeger(traces: Iterable[Mapping[str, Any]]) -> dict[str, list[Bar]]:
    """By trace id, as the API gives them that Jaeger's own UI draws from."""
    return {
        trace["traceID"].rjust(32, "0"): [
            Bar(
                span["spanID"].rjust(16, "0"),
                next((one["spanID"].rjust(16, "0") for one in span["references"]
                      if one["traceID"] == trace["traceID"] and one["refType"] == "CHILD_OF"), ""),
                span["startTime"], span["startTime"] + span["duration"], span["operationName"],
                next((tag["value"] for tag in span["tags"] if tag["key"] == "span.kind"), ""),
            )
            for span in trace["spans"]
        ]
        for trace in traces
    }  # fmt: skip
