"""The comparison as JSON. Its shape is `diff_schema.json` beside this file; a change of it raises `FORMAT`."""

from dataclasses import asdict
from typing import Any, Final

from whywait.analysis.changes.comparison import CauseChange, Change, Comparison
from whywait.analysis.changes.sentences import text
from whywait.analysis.model import Analysis
from whywait.analysis.report.json import FORMAT

_AMOUNTS: Final = ("before_ns", "after_ns", "delta_ns", "low_ns", "high_ns")


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
        **{name: getattr(change, name) for name in ("endpoint", "requests_before", "requests_after", *_AMOUNTS)},
        "handler_before_ns": change.handler_before_ns,
        "handler_after_ns": change.handler_after_ns,
        "enough_requests": change.tellable,
        "certain": change.certain,
        "slower": change.slower,
        "whole": {
            "ratio": change.whole.ratio,
            "low": change.whole.low,
            "high": min(change.whole.high, 1e9),
            "slower_excluded": change.whole.excluded,
            "requests_needed": change.whole.needed,
        },
        "blamed": [str(one.cause) for one in change.blamed],
        "remedy": None if change.remedy is None else {"key": change.remedy.key, "text": change.remedy.text},
        "text": text(change, percentile),
        "causes": [_cause(one) for one in change.causes],
    }


def _cause(one: CauseChange) -> dict[str, Any]:
    return {
        "cause": str(one.cause),
        **{name: getattr(one, name) for name in _AMOUNTS},
        "certain": one.certain,
        "culprit": None if one.mover is None else asdict(one.mover),
    }
