"""Analyses made up from amounts, for what only shows them. Rows tile each request exactly, as real ones do."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tests.analysis.drawing import BEGIN_NS, SIGNALS
from whywait.analysis.causes import CAUSES
from whywait.analysis.model import CAUSE_COLUMNS, CULPRIT_COLUMNS, REQUEST_COLUMNS, SPAN_COLUMNS, Analysis, Finding
from whywait.tracer import schema

MS = 1_000_000
OTHER_TRACE = f"{2**100:032x}"


@dataclass(frozen=True)
class Culprit:
    """Who caused all of a cause's time, and whether for another request."""

    name: str
    file: str = ""
    line: int | None = None
    other_request: bool = True


def analysis_of(
    endpoints: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    culprits: Mapping[str, Culprit] | None = None,
    details: Mapping[str, str] | None = None,
    jobs: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    findings: tuple[Finding, ...] = (),
    signals: Sequence[str] = SIGNALS,
) -> Analysis:
    """Return the analysis of requests given as ms by cause, in the order in which they passed.

    `jobs` gives, by endpoint, the attributes of each job that every request of it handed to a pool.
    """
    requests: list[dict[str, Any]] = []
    causes: list[dict[str, Any]] = []
    held: list[dict[str, Any]] = []
    spans: list[dict[str, Any]] = []
    for endpoint, amounts in endpoints.items():
        for one in amounts:
            number = len(requests) + 1
            ids = {"trace_id": f"{number:032x}", "request_id": f"{number:016x}", "endpoint": endpoint, "weight": 1.0}
            start = at = BEGIN_NS + number * 1000 * MS
            for cause, ms in one.items():
                ns = round(ms * MS)
                who = (culprits or {}).get(cause)
                row = ids | {
                    "start_ns": at, "end_ns": at + ns, "amount_ns": ns, "cause": cause, "evidence": "observed",
                    "placed": True, "activity_id": ids["request_id"], "activity_name": endpoint,
                    "span_id": ids["request_id"], "span_name": endpoint,
                    "detail": (details or {}).get(cause, ""), "culprit": "", "culprit_file": "",
                    "culprit_line": None, "culprit_trace_id": "", "culprit_span_id": "", "culprit_ns": 0, "error_ns": 0,
                }  # fmt: skip
                if who is not None:
                    named = {
                        "culprit": who.name, "culprit_file": who.file, "culprit_line": who.line,
                        "culprit_trace_id": OTHER_TRACE if who.other_request else ids["trace_id"],
                        "culprit_span_id": "c" * 16,
                    }  # fmt: skip
                    row |= named | {"culprit_ns": ns}
                    held.append(ids | named | {"cause": cause, "start_ns": at, "ns": ns})
                causes.append(row)
                at += ns
            requests.append(
                ids | {
                    "service": "shop", "status_code": 200, "error": False, "error_type": "", "start_ns": start, "end_ns": at,
                    "wall_ns": at - start, "handler_ns": at - start - round(one.get("ingress_wait", 0) * MS), "incomplete": False, "unfinished": False, "nagle": False, "first_byte_ns": 0, "signals": tuple(signals),
                }
            )  # fmt: skip
            spans += _spans(ids, start, at, (jobs or {}).get(endpoint, ()))
    return Analysis(
        _typed(requests, REQUEST_COLUMNS), _typed(causes, CAUSE_COLUMNS), _typed(held, CULPRIT_COLUMNS),
        _typed(spans, SPAN_COLUMNS), findings,
    )  # fmt: skip


def random_analysis(seed: int, requests: int, endpoints: int = 3, segments: int = 12) -> Analysis:
    """Return an analysis of any causes in any order, amounts from 1 ns to 50 ms."""
    draw = random.Random(seed)
    groups: dict[str, list[dict[str, float]]] = {f"GET /{number}": [] for number in range(endpoints)}
    for _ in range(requests):
        causes = draw.sample(CAUSES, draw.randint(1, min(segments, len(CAUSES))))
        groups[draw.choice(list(groups))].append({cause: draw.randint(1, 50 * MS) / MS for cause in causes})
    return analysis_of(
        groups,
        culprits={"pool_queue": Culprit("predict"), "loop_busy": Culprit("rank", "/srv/app/rank.py", 30)},
        jobs={"GET /0": [{schema.POOL_NAME: "predict"}] * 3},
    )


def _spans(ids: Mapping[str, str], start: int, end: int, jobs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    def span(number: int, name: str, kind: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
        span_id = f"{ids['request_id'][4:]}{number:04x}"
        return {
            "trace_id": ids["trace_id"], "span_id": span_id, "parent_id": ids["request_id"], "name": name,
            "service": "shop", "scope": schema.SCOPE, "span_kind": "internal", "start_ns": start, "end_ns": end,
            "error": False, "links": [],
            "attributes": {schema.KIND: kind, schema.ACTIVITY: span_id} | dict(attributes),
        }  # fmt: skip

    return [
        span(0, ids["endpoint"], schema.KIND_TASK, {}),
        *(
            span(number, "job " + str(job.get("name", "predict")), schema.KIND_JOB, job)
            for number, job in enumerate(jobs, start=1)
        ),
    ]


def _typed(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    for column in frame.columns:
        if column in ("culprit_line", "status_code"):
            frame[column] = frame[column].astype("Int64")
        elif column.endswith("_ns") or column == "ns":
            frame[column] = frame[column].astype("int64")
        elif column in ("incomplete", "error", "placed", "nagle"):
            frame[column] = frame[column].astype(bool)
    return frame
