"""The report as JSON. Its shape is `schema.json` beside this file; a change of it raises `FORMAT`."""

from typing import Any, Final

import pandas as pd

from whywait.analysis.measure.summary import summarize, worst_culprits
from whywait.analysis.model import Analysis
from whywait.analysis.verdicts.accusation import Verdict, verdict
from whywait.analysis.verdicts.not_observed import unavailable

FORMAT: Final = 2
MAX_CULPRITS: Final = 50


def as_json(analysis: Analysis, *, top: int = 5) -> dict[str, Any]:
    """Plain values, bounded: every endpoint, at most `top` requests and MAX_CULPRITS culprits. Times are
    integer nanoseconds."""
    summary = summarize(analysis.causes)
    slowest = analysis.requests.sort_values("wall_ns", ascending=False).head(top)
    return {
        "format": FORMAT,
        "requests": len(analysis.requests),
        "incomplete": int(analysis.requests["incomplete"].sum()),
        "findings": [
            {"code": one.code, "message": one.message, "count": one.count, "trace_ids": list(one.trace_ids)}
            for one in analysis.findings
        ],
        "unavailable": unavailable(analysis.requests),
        "endpoints": [_endpoint(one, summary) for one in verdict(analysis)],
        "culprits": [
            {
                "culprit": str(row["culprit"]),
                "file": str(row["culprit_file"]),
                "line": None if pd.isna(row["culprit_line"]) else int(row["culprit_line"]),
                "cause": str(row["cause"]),
                "victims": int(row["victims"]),
                "ns": int(row["ns"]),
            }
            for row in worst_culprits(analysis.culprits, MAX_CULPRITS).to_dict("records")
        ],
        "slowest": [_request(row, analysis) for row in slowest.to_dict("records")],
    }


def _endpoint(one: Verdict, summary: Any) -> dict[str, Any]:
    rows = summary[summary["endpoint"] == one.endpoint]
    return {
        "endpoint": one.endpoint,
        "requests": one.requests,
        "traced": one.traced,
        "p50_ns": int(one.p50_ns),
        "p99_ns": int(one.p99_ns),
        "unexplained_share": round(one.unexplained_share, 6),
        "verdict": one.text,
        "causes": [
            {
                "cause": str(row["cause"]),
                "total_ns": int(row["total_ns"]),
                "mean_ns": int(row["mean_ns"]),
                "p50_ns": int(row["p50_ns"]),
                "p95_ns": int(row["p95_ns"]),
                "p99_ns": int(row["p99_ns"]),
                "share": round(float(row["share"]), 6),
            }
            for row in rows.to_dict("records")
        ],
    }


def _request(row: dict[Any, Any], analysis: Analysis) -> dict[str, Any]:
    own = analysis.causes[analysis.causes["request_id"] == row["request_id"]]
    sums = own.groupby("cause")["amount_ns"].sum().sort_values(ascending=False)
    return {
        "trace_id": str(row["trace_id"]),
        "request_id": str(row["request_id"]),
        "endpoint": str(row["endpoint"]),
        "start_ns": int(row["start_ns"]),
        "wall_ns": int(row["wall_ns"]),
        "incomplete": bool(row["incomplete"]),
        "causes": {str(cause): int(ns) for cause, ns in sums.items()},
    }
