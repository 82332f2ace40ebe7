"""Lays out the tracks: requests, threads and loops, and the activities of the slowest requests."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import pandas as pd

from whywait.analysis.attribution.culprit_names import positive_ns
from whywait.analysis.measure.felt import both
from whywait.analysis.model import Analysis, attribute
from whywait.analysis.report.perfetto.slices import cause_slices, records, request_slice, running, span_slice
from whywait.analysis.report.perfetto.tracks import Group, Slice, numbered
from whywait.analysis.text import safe
from whywait.tracer import schema

# numbers of groups; different from every track's, or the viewer takes that track for a main thread
REQUESTS: Final = 10_000
_SLOWEST: Final = "slowest: "  # before the name of that request's group
_SIGHT: Final = "slowest request first"
# the viewer orders groups by their number of slices, and opens none: unless its address has commands
VIEWER: Final = "https://ui.perfetto.dev/#!/?startupCommands=" + quote(
    json.dumps(
        [
            {"id": f"dev.perfetto.{command}", "args": args}
            for command, *args in (
                ("CreateWorkspace", _SIGHT),
                *(("CopyTracksToWorkspaceByRegex", f"^{name}", _SIGHT) for name in ("slowest", "threads", "requests")),
                ("SwitchWorkspace", _SIGHT),
                ("ExpandTracksByRegex", "^slowest|^threads"),
            )
        ],
        separators=(",", ":"),
    ),
    safe="",
)
_FIRST_SERVICE: Final = 20_001
FIRST_DETAIL: Final = 30_001
_ACTIVITIES: Final = (schema.KIND_TASK, schema.KIND_JOB)
_PARTS: Final = (schema.KIND_RUN, schema.KIND_WAIT, schema.KIND_PHASE)


def groups(analysis: Analysis, shown: pd.DataFrame, detailed: Sequence[str]) -> list[Group]:
    """Return all groups: the requests `shown`, and those with an id in `detailed` in detail."""
    spans = analysis.spans[analysis.spans["trace_id"].isin(shown["trace_id"])]
    spans = spans.assign(
        kind=attribute(spans, schema.KIND), owner=pd.Series(_owners(spans), index=spans.index, dtype=object)
    )
    blocks = analysis.spans[attribute(analysis.spans, schema.KIND) == schema.KIND_BLOCK]
    first_ns, last_ns = int(shown["start_ns"].min()), int(shown["end_ns"].max())
    blocks = blocks[(blocks["end_ns"] > first_ns) & (blocks["start_ns"] < last_ns)]
    made = [_requests(analysis, shown)]
    for number, (service, own) in enumerate(spans.groupby("service", sort=True), start=_FIRST_SERVICE):
        group = _threads(number, str(service), own, blocks[blocks["service"] == service])
        if group.tracks:
            made.append(group)
    by_id = {str(row["request_id"]): row for row in records(shown)}
    of_trace = dict(tuple(spans.groupby("trace_id", sort=False)))
    for number, request_id in enumerate(detailed, start=FIRST_DETAIL):
        request = by_id[request_id]
        made.append(_activities(number, request, of_trace[request["trace_id"]], _SLOWEST * (number == FIRST_DETAIL)))
    return made


def _owners(spans: pd.DataFrame) -> list[tuple[str, str]]:
    """The task or job of each span, by trace id and span id."""
    rows = zip(spans["trace_id"], spans["attributes"], strict=True)
    return [(str(trace_id), str(attributes.get(schema.ACTIVITY, ""))) for trace_id, attributes in rows]


def _requests(analysis: Analysis, shown: pd.DataFrame) -> Group:
    segments = dict(tuple(analysis.causes.groupby("request_id", sort=False)))
    named: list[tuple[str, list[Slice]]] = []
    for request in records(shown.sort_values(["start_ns", "trace_id", "request_id"])):
        own = segments.get(request["request_id"])
        title = f"{safe(request['endpoint'], 60)} {str(request['trace_id'])[:8]}"
        named.append((title, [request_slice(request), *([] if own is None else cause_slices(own))]))
    return numbered(REQUESTS, "requests: what each waited for", named)


def _by_owner(rows: pd.DataFrame) -> dict[tuple[str, str], list[Slice]]:
    found: dict[tuple[str, str], list[Slice]] = defaultdict(list)
    for row in records(rows):
        found[row["owner"]].append(span_slice(row))
    return found


def _threads(number: int, service: str, spans: pd.DataFrame, blocks: pd.DataFrame) -> Group:
    parts = _by_owner(spans[spans["kind"].isin([schema.KIND_PHASE, schema.KIND_WAIT])])
    by_thread: dict[tuple[str, int], list[Slice]] = defaultdict(list)
    for row in records(spans[spans["kind"] == schema.KIND_RUN].sort_values("start_ns")):
        run, number_of_thread = span_slice(row), row["attributes"].get(schema.THREAD_ID)
        held = [one for one in parts.get(row["owner"], ()) if run.start_ns <= one.start_ns and one.end_ns <= run.end_ns]
        thread = str(row["attributes"].get(schema.THREAD_NAME, "")), positive_ns(number_of_thread)
        by_thread[thread] += [run, *held, *running(run, held)]
    named = [("event loop: long stretches", [span_slice(row) for row in records(blocks)])]
    named += [(_thread(*thread), slices) for thread, slices in sorted(by_thread.items())]
    return numbered(number, f"threads of {safe(service, 60) or 'the service'}", named)


def _thread(name: str, number: int) -> str:
    return f"{safe(name, 60) or 'thread'} {number or ''}".strip()


def _activities(number: int, request: Mapping[str, Any], spans: pd.DataFrame, before: str) -> Group:
    inside = spans[(spans["end_ns"] > request["start_ns"]) & (spans["start_ns"] < request["end_ns"])]
    by_owner = _by_owner(inside[inside["kind"].isin(list(_PARTS))])
    named: list[tuple[str, list[Slice]]] = []
    activities = inside[inside["kind"].isin(list(_ACTIVITIES))]
    for row in records(activities.sort_values(["start_ns", "span_id"])):
        own = span_slice(row)
        parts = by_owner.get(own.key, [])
        ran = [one for one in parts if one.category == schema.KIND_RUN] if own.category == schema.KIND_JOB else [own]
        ran_in = [one for run in ran for one in running(run, parts)]
        named.append((safe(row["name"], 80), [own, *parts, *ran_in]))
    others = inside[~inside["kind"].isin([*_PARTS, *_ACTIVITIES, schema.KIND_BLOCK])]
    named.append(("spans", [span_slice(row) for row in records(others)]))
    title = f"{before}{safe(request['endpoint'], 60)} {both(dict(request))}, {str(request['trace_id'])[:8]}"
    return numbered(number, title, named)
