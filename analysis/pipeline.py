"""The pipeline: clean, find requests and activities, walk the critical path, divide, describe, check."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.attribution.cause_of_segment import Described, describe
from whywait.analysis.attribution.conservation import check_conservation
from whywait.analysis.attribution.culprits import find_culprits
from whywait.analysis.causes import CAUSES
from whywait.analysis.errors import InputError
from whywait.analysis.load import Source, load_traces
from whywait.analysis.load.files import no_collection
from whywait.analysis.measure.unfinished import unfinished
from whywait.analysis.model import CAUSE_COLUMNS, CULPRIT_COLUMNS, IDENTITY, Analysis, Traces
from whywait.analysis.path.critical_path import critical_path
from whywait.analysis.path.pieces import cut_pieces
from whywait.analysis.path.running_frames import nested_frames
from whywait.analysis.path.segments import Segments, cut_segments
from whywait.analysis.spans.activities import Activities, RawWaits, joined, recorded_activities, with_waits
from whywait.analysis.spans.clean import clean, finding
from whywait.analysis.spans.guessed_activities import guessed_activities
from whywait.analysis.spans.held_loop import seen_instead
from whywait.analysis.spans.requests import LOST_RECORDS, find_requests, request_table
from whywait.analysis.spans.span_table import KEPT, SpanTable, span_table, taken
from whywait.analysis.text import counted

_CULPRIT: Final = {"": "culprit", "_file": "file", "_trace_id": "trace_id", "_span_id": "span_id"}


def attribute(traces: Traces | pd.DataFrame) -> pd.DataFrame:
    """Return one row per request and segment (CAUSE_COLUMNS, integer ns); a request's rows cover its wall time
    exactly, which is checked. Raises InputError without a request."""
    return analyze(traces).causes


@no_collection()
def analyze(traces: Traces | Source, **load: Any) -> Analysis:
    """Return the analysis of traces, or of a source with what else `load_traces` takes. Raises InputError when there
    is no request."""
    loaded = traces if isinstance(traces, Traces) else load_traces(traces, **load)
    cleaned = clean(loaded)
    spans = span_table(cleaned.spans)
    recorded, raw, findings = recorded_activities(spans)
    requests, more = find_requests(spans, recorded)
    findings += more
    if len(requests.row) == 0:
        lost = "".join(f". {one.message}" for one in findings if one.code == LOST_RECORDS)
        raise InputError(f"no request in {counted(len(spans.start), 'span')}: {seen_instead(cleaned.spans)}{lost}")
    guessed = guessed_activities(spans, requests.row[requests.foreign])
    activities = recorded
    if guessed is not None:
        activities = joined(recorded, guessed[0])
        raw = _joined_waits(raw, guessed[1], len(recorded.row))
    activities, more = with_waits(activities, raw, spans)
    findings += more

    analysed = np.flatnonzero(~requests.incomplete)
    request_rows = requests.row[analysed]
    own_row = np.where(requests.foreign, requests.row, requests.root_row)[analysed]
    frames = nested_frames(spans, activities)
    pieces = cut_pieces(spans, activities, frames)
    path = critical_path(activities, activities.of_row[own_row], requests.start[analysed], requests.end[analysed])
    findings += finding(
        "circular-wait", "requests contain work that waits for itself in a circle: that time belongs to the waiter",
        spans.trace_ids[request_rows[path.circular]],
    )  # fmt: skip
    segments = cut_segments(path, activities, pieces)
    described = describe(spans, activities, frames, pieces, segments, request_rows)
    named = find_culprits(spans, activities, segments, described, request_rows)
    table, more = request_table(spans, requests)
    findings += more
    causes = _cause_table(spans, activities, segments, described, named, table.iloc[analysed])
    check_conservation(table.iloc[analysed], causes)
    findings = [*unfinished(table, causes), *cleaned.findings, *findings]
    texts = {IDENTITY: spans.identities, **{key: spans.columns[key] for key in KEPT}}
    kept = cleaned.spans.assign(**{name: pd.Series(values, dtype=object, copy=False) for name, values in texts.items()})
    return Analysis(table, causes, _culprit_table(causes, named), kept, tuple(findings))


def _joined_waits(first: RawWaits, second: RawWaits, shift: int) -> RawWaits:
    moved = replace(second, activity=second.activity + shift, waker=second.waker + shift)
    return RawWaits(*(np.concatenate([getattr(one, name) for one in (first, moved)]) for name in RawWaits.__slots__))


def _cause_table(
    spans: SpanTable, activities: Activities, segments: Segments, described: Described, named: pd.DataFrame,
    requests: pd.DataFrame,
) -> pd.DataFrame:  # fmt: skip
    activity_row = taken(activities.row, segments.activity)
    chief = named[~named["segment"].duplicated()]
    at = chief["segment"].to_numpy(dtype=np.int64)

    def chief_column(name: str, default: Any) -> Any:
        values = np.full(len(segments.start), default, dtype=object)
        values[at] = chief[name].to_numpy(dtype=object)
        return values

    by_request = {name: requests[name].to_numpy(dtype=object)[segments.request]
                  for name in ("trace_id", "request_id", "endpoint")}  # fmt: skip
    columns = {
        **by_request,
        "start_ns": segments.start,
        "end_ns": segments.end,
        "amount_ns": segments.end - segments.start,
        "cause": np.array([cause.value for cause in CAUSES], dtype=object)[described.cause],
        "evidence": described.evidence,
        "placed": segments.placed,
        "activity_id": taken(spans.identities, activity_row, ""),
        "activity_name": taken(spans.names, activity_row, ""),
        "span_id": spans.identities[described.span],
        "span_name": spans.names[described.span],
        "detail": described.detail,
        "error_ns": described.error,
        "culprit": chief_column("culprit", ""),
        "culprit_file": chief_column("file", ""),
        "culprit_line": pd.array(chief_column("line", None), dtype="Int64"),
        "culprit_trace_id": chief_column("trace_id", ""),
        "culprit_span_id": chief_column("span_id", ""),
        "culprit_ns": chief_column("ns", 0).astype(np.int64),
        "weight": requests["weight"].to_numpy(dtype=np.float64)[segments.request],
    }
    # texts stay the objects that they are: a column of pandas' own texts would copy each
    return pd.DataFrame(
        {name: pd.Series(columns[name], copy=False, dtype=columns[name].dtype) for name in CAUSE_COLUMNS}
    )


def _culprit_table(causes: pd.DataFrame, named: pd.DataFrame) -> pd.DataFrame:
    of = causes.loc[:, ["trace_id", "request_id", "endpoint", "cause", "start_ns", "weight"]]
    table = (
        of.take(named["segment"].to_numpy(dtype=np.int64))
        .reset_index(drop=True)
        .assign(
            **{f"culprit{key}": named[name] for key, name in _CULPRIT.items()},
            culprit_line=pd.array(named["line"].to_numpy(dtype=object), dtype="Int64"),
            ns=named["ns"],
        )
    )
    return table.loc[:, list(CULPRIT_COLUMNS)]
