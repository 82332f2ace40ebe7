"""The comparison as JSON. Its shape is `diff_schema.json` beside this file; a change of it raises `FORMAT`."""

from typing import Any

from whywait.analysis.changes.comparison import CauseChange, Change, Comparison
from whywait.analysis.changes.sentences import text
from whywait.analysis.model import Analysis
from whywait.analysis.report.json.version import FORMAT


def diff_as_json(found: Comparison, sides: tuple[Analysis, Analysis]) -> dict[str, Any]:
    """Return plain values; times are integer ns. The `delta_ns` of an endpoint's causes sum to the endpoint's."""
    return {
        "format": FORMAT,
        "percentile": found.percentile,
        "findings": [
            {"side": side, "code": one.code, "message": one.message, "count": one.count}
            for side, analysis in zip(("before", "after"), sides, strict=True)
            for one in analysis.findings
        ],
        "endpoints": [_endpoint(one, found.percentile) for one in found.changes],
        "only_before": list(found.only_before),
        "only_after": list(found.only_after),
    }


def _endpoint(change: Change, percentile: float) -> dict[str, Any]:
    return {
        "endpoint": change.endpoint,
        "requests_before": change.requests_before,
        "requests_after": change.requests_after,
        "before_ns": change.before_ns,
        "after_ns": change.after_ns,
        "delta_ns": change.delta_ns,
        "low_ns": change.low_ns,
        "high_ns": change.high_ns,
        "enough_requests": change.tellable,
        "certain": change.certain,
        "blamed": [str(one.cause) for one in change.blamed],
        "remedy": None if change.remedy is None else {"key": change.remedy.key, "text": change.remedy.text},
        "text": text(change, percentile),
        "causes": [_cause(one) for one in change.causes],
    }


def _cause(one: CauseChange) -> dict[str, Any]:
    mover = one.mover
    return {
        "cause": str(one.cause),
        "before_ns": one.before_ns,
        "after_ns": one.after_ns,
        "delta_ns": one.delta_ns,
        "low_ns": one.low_ns,
        "high_ns": one.high_ns,
        "certain": one.certain,
        "culprit": None
        if mover is None
        else {
            "name": mover.name,
            "place": mover.place,
            "before_ns": mover.before_ns,
            "after_ns": mover.after_ns,
        },
    }
