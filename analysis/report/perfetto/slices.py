"""Turns rows of the analysis into slices."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate, chain, pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.causes import CAUSE_OF_WAIT, Cause
from whywait.analysis.model import span_id_of
from whywait.analysis.report.annotation.cause_spans import merged
from whywait.analysis.report.perfetto.tracks import Slice
from whywait.analysis.text import milliseconds, place, safe
from whywait.tracer import schema

AWAITING: Final = "awaiting"
RUNNING: Final = "running"
WAIT_NAMES: Final[Mapping[str, str]] = {
    schema.WAIT_AWAIT: AWAITING,
    **CAUSE_OF_WAIT,
    schema.WAIT_POOL_HANDOVER: "handover to a worker",
    schema.WAIT_RESUME: "ready, not yet running",
}
_SHOWN: Final = (
    schema.CODE_FUNCTION, schema.CODE_FILE, schema.CODE_LINE, schema.THREAD_NAME, schema.THREAD_ID, schema.POOL_NAME,
    schema.POOL_SIZE, schema.CPU_NS, schema.RUN_QUEUE_NS, schema.GIL_NS, schema.LOCK_NS, schema.CALL_NS,
    schema.BLOCKER_FUNCTION, schema.BLOCKER_FILE, schema.BLOCKER_LINE, schema.BLOCKER_TRACE_ID, schema.WAKER_NAME,
    schema.WAKER_KIND, schema.FOR, schema.LOCK_KIND, schema.LOCK_FILE, schema.LOCK_LINE, schema.OUTCOME,
)  # fmt: skip


def request_slice(request: Mapping[str, Any]) -> Slice:
    """The request as one slice, named after its endpoint."""
    return Slice(
        int(request["start_ns"]), int(request["end_ns"]), safe(request["endpoint"], 100) or "request", "request",
        (str(request["trace_id"]), span_id_of(request["trace_id"], request["request_id"])),
        {"trace id": str(request["trace_id"]), "service": safe(request["service"]),
         "felt by the client, ms": milliseconds(int(request["wall_ns"])),
         "in the handler, ms": milliseconds(int(request["handler_ns"])), "incomplete": bool(request["incomplete"])},
    )  # fmt: skip


def cause_slices(causes: pd.DataFrame) -> list[Slice]:
    """The segments of one request, named by their cause; equal neighbours are one slice."""
    return [
        Slice(int(row["start_ns"]), int(row["end_ns"]), str(row["cause"]), "cause", args=_cause_args(row))
        for row in merged(causes)
    ]


def _cause_args(row: Mapping[Any, Any]) -> dict[str, object]:
    args: dict[str, object] = {
        "detail": safe(row["detail"]),
        "evidence": str(row["evidence"]),
        "activity": safe(row["activity_name"]),
        "span": safe(row["span_name"]),
        "culprit": safe(row["culprit"]),
        "culprit's place": safe(place(row["culprit_file"], row["culprit_line"])),
        "culprit's trace id": safe(row["culprit_trace_id"]),
    }
    return {key: value for key, value in args.items() if value != ""}


def span_slice(span: Mapping[str, Any]) -> Slice:
    """A span as a slice: a wait is named by what it waited for, everything else by its own name."""
    attributes: Mapping[str, Any] = span["attributes"]
    kind = str(attributes.get(schema.KIND, ""))
    name = safe(span["name"], 100) or "span"
    args: dict[str, object] = {"trace id": str(span["trace_id"])}
    if kind == schema.KIND_WAIT:
        args["wait"] = name
        name = str(WAIT_NAMES.get(str(attributes.get(schema.WAIT)), Cause.UNEXPLAINED))
    for key in _SHOWN:
        value = attributes.get(key)
        if isinstance(value, (str, int, float)) and value != "":
            args[key.removeprefix(schema.PREFIX)] = safe(value) if isinstance(value, str) else value
    return Slice(
        int(span["start_ns"]), int(span["end_ns"]), name, kind or "span", (str(span["trace_id"]), str(span["span_id"])),
        args,
    )  # fmt: skip


def running(around: Slice, inside: Iterable[Slice]) -> list[Slice]:
    """The parts of a slice outside the waits `inside`, cut where any begins or ends: an arrow may then end in the
    slice that begins at the wake-up (the viewer reverses one into an older slice)."""
    inside = list(inside)
    borders = chain.from_iterable((one.start_ns, one.end_ns) for one in (around, *inside))
    cuts = np.unique(np.clip(list(borders), around.start_ns, around.end_ns)).tolist()
    waits = sorted((one.start_ns, one.end_ns) for one in inside if one.category == schema.KIND_WAIT)
    starts = [start_ns for start_ns, _ in waits]
    waited_until = list(accumulate((end_ns for _, end_ns in waits), max, initial=around.start_ns))
    return [
        Slice(begin, end, RUNNING, RUNNING)
        for begin, end in pairwise(cuts)
        if waited_until[bisect_right(starts, begin)] <= begin
    ]


def records(frame: pd.DataFrame) -> Iterable[Mapping[str, Any]]:
    return frame.to_dict("records")  # type: ignore[return-value]
