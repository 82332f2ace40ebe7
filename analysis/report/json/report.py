"""The report as JSON. Its shape is `schema.json` beside this file; a change of it raises FORMAT."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import pandas as pd

from whywait.analysis.capacity.utilization import ProcessCapacity
from whywait.analysis.measure.felt import PERCENTILES
from whywait.analysis.measure.summary import summarize, worst_culprits
from whywait.analysis.model import Analysis, span_id_of
from whywait.analysis.report.json import FORMAT
from whywait.analysis.report.told import Told, told_of
from whywait.analysis.situations.situation import numbers
from whywait.analysis.verdicts.capacity_words import sentence
from whywait.analysis.verdicts.judgement import Reason
from whywait.analysis.verdicts.not_observed import not_observed
from whywait.analysis.verdicts.sentences import Verdict

MAX_CULPRITS: Final = 50


def as_json(analysis: Analysis, *, top: int = 5, told: Told | None = None) -> dict[str, Any]:
    """Return plain values, bounded: every endpoint, at most `top` requests and MAX_CULPRITS culprits. Times are
    integer nanoseconds. `told`: `told_of(analysis)`, where it is known."""
    verdicts, processes, predictions = told or told_of(analysis)
    culprits = worst_culprits(analysis.culprits, MAX_CULPRITS).to_dict("records")
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
        "not_observed": [asdict(one) for one in not_observed(analysis.requests)],
        "capacity": [_capacity(one) for one in processes],
        "endpoints": [_endpoint(one, summary, predictions.get(one.endpoint)) for one in verdicts],
        "culprits": [_culprit(row) for row in culprits],
        "slowest": [_request(row, analysis) for row in slowest.to_dict("records")],
    }


def _culprit(row: dict[Any, Any]) -> dict[str, Any]:
    line = None if pd.isna(row["culprit_line"]) else int(row["culprit_line"])
    found = {"culprit": str(row["culprit"]), "file": str(row["culprit_file"]), "line": line, "cause": str(row["cause"])}
    return {**found, "victims": int(row["victims"]), "ns": int(row["ns"])}


def _endpoint(told: Verdict, summary: Any, prediction: Mapping[str, Any] | None) -> dict[str, Any]:
    one = told.judgement
    rows = summary[summary["endpoint"] == one.endpoint]
    return {
        **{name: getattr(one, name) for name in ("endpoint", "requests", "traced", "p50_ns", "p95_ns", "p99_ns")},
        **{f"handler_p{which}_ns": ns for which, ns in zip(PERCENTILES, one.in_handler_ns, strict=True)},
        "compute_share": round(one.compute_share, 6),
        "unexplained_share": round(one.unexplained_share, 6),
        "reasons": [_reason(reason) for reason in one.reasons],
        "situations": [{"kind": str(found.kind), "numbers": numbers(found)} for found in one.situations],
        "verdict": told.text,
        **({"prediction": prediction} if prediction else {}),
        "causes": [
            {
                "cause": str(row["cause"]),
                **{name: int(row[name]) for name in ("total_ns", "mean_ns", "p50_ns", "p95_ns", "p99_ns")},
                "share": round(float(row["share"]), 6),
            }
            for row in rows.to_dict("records")
        ],
    }


def _reason(one: Reason) -> dict[str, Any]:
    return {
        "cause": str(one.cause),
        "amount_ns": round(one.mean_ns),
        "share": round(one.share, 6),
        "evidence": str(one.evidence),
        "detail": one.detail,
        "culprit": one.culprit,
        "file": one.culprit_file,
        "line": one.culprit_line,
        "culprit_share": round(one.culprit_share, 6),
        "other_requests_share": round(one.other_requests_share, 6),
        "other_endpoint": one.other_endpoint,
        "remedy": {"key": one.remedy.key, "text": one.remedy.text},
        "meanwhile": [asdict(part) for part in one.meanwhile],
    }


def _capacity(one: ProcessCapacity) -> dict[str, Any]:
    rates = ("offered_per_s", "served_per_s", "in_system", "mean_wall_ns")
    return {
        "process": one.process,
        "requests": round(one.requests),
        "active_ns": one.active_ns,
        **{name: round(getattr(one, name), 6) for name in rates},
        "limit": None if one.limit is None or not one.enough else one.uses.index(one.limit),
        "text": sentence(one),
        "resources": [
            {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(use).items()}
            for use in one.uses
        ],
    }


def _request(row: dict[Any, Any], analysis: Analysis) -> dict[str, Any]:
    own = analysis.causes[analysis.causes["request_id"] == row["request_id"]]
    sums = own.groupby("cause")["amount_ns"].sum().sort_values(ascending=False)
    return {
        "trace_id": str(row["trace_id"]),
        "request_id": span_id_of(row["trace_id"], row["request_id"]),
        "endpoint": str(row["endpoint"]),
        "start_ns": int(row["start_ns"]),
        "wall_ns": int(row["wall_ns"]),
        "handler_ns": int(row["handler_ns"]),
        "incomplete": bool(row["incomplete"]),
        "causes": {str(cause): int(ns) for cause, ns in sums.items()},
    }
