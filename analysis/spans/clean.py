"""Drops invalid spans, with a finding for each kind."""

from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.errors import InputError
from whywait.analysis.model import Finding, Traces, attribute, attributes_of
from whywait.tracer import schema

LONGEST_NS: Final = 7 * 24 * 3600 * 10**9  # longer than any request: a broken clock
EXAMPLES: Final = 10
_REPEATED: Final = (
    "spans have repeated ids: another span with other times has the same trace id and span id, and only the first of "
    "each was kept, so requests are missing. Code that seeds the global `random` makes OpenTelemetry repeat ids: seed "
    "a `random.Random` of its own instead, or give the tracer provider an id generator of its own"
)


def clean(traces: Traces) -> Traces:
    """Return the usable spans, with findings. Raises InputError for another version of the contract."""
    spans = _without(
        traces.spans, traces.spans["scope"] == schema.ANNOTATION_SCOPE
    )  # earlier annotations are no evidence
    _check_contract(spans)
    findings = list(traces.findings)
    without_id = (spans["trace_id"] == "") | (spans["span_id"] == "")
    backwards = ~without_id & (spans["end_ns"] < spans["start_ns"])
    endless = ~without_id & (spans["end_ns"] - spans["start_ns"] > LONGEST_NS)
    for code, message, bad in (
        ("no-id", "spans without a trace id or span id were left out", without_id),
        ("negative-duration", "spans that end before they start were left out", backwards),
        ("endless-span", "spans longer than a week were left out", endless),
    ):
        findings += finding(code, message, spans.loc[bad, "trace_id"])
    spans = _without(spans, without_id | backwards | endless)
    spans = _without(spans, _replaced(spans))
    again = spans.duplicated(["trace_id", "span_id"])
    double = again & spans.duplicated(["trace_id", "span_id", "start_ns", "end_ns"]) if again.any() else again
    findings += finding("duplicate-span", "spans were delivered more than once and counted once",
                        spans.loc[double, "trace_id"])  # fmt: skip
    findings += finding("repeated-ids", _REPEATED, spans.loc[again & ~double, "trace_id"])
    return Traces(_without(spans, again).reset_index(drop=True), tuple(findings))


def _without(spans: pd.DataFrame, bad: Any) -> pd.DataFrame:
    """The other spans; the same frame where none is bad, as nearly always."""
    return spans[~bad] if bad.any() else spans


def _replaced(spans: pd.DataFrame) -> np.ndarray:
    """Which spans were recorded of a request while it went on, where what was recorded at its end is there, too."""
    told, root = (attribute(spans, key).tolist() for key in (schema.PROVISIONAL, schema.ROOT))
    if not any(told):
        return np.zeros(len(spans), dtype=bool)
    ends = {
        (trace_id, span_id)
        for trace_id, span_id, one, is_root in zip(spans["trace_id"], spans["span_id"], told, root, strict=True)
        if not one and is_root is True
    }
    return np.array([one in ends for one in zip(spans["trace_id"], told, strict=True)], dtype=bool)


def finding(code: str, message: str, trace_ids: "pd.Series[str] | np.ndarray") -> list[Finding]:
    """Return one finding for the rows with these trace ids; [] without rows."""
    if len(trace_ids) == 0:
        return []
    examples = pd.unique(pd.Series(trace_ids, dtype=object))[:EXAMPLES]
    return [Finding(code, message, len(trace_ids), tuple(str(trace_id) for trace_id in examples))]


def _check_contract(spans: pd.DataFrame) -> None:
    versions = set(map(str, attributes_of(spans).column(schema.CONTRACT, schema.CONTRACT_VERSION).tolist()))
    others = sorted(versions - {str(schema.CONTRACT_VERSION)})
    if others:
        raise InputError(
            f"these traces follow version {others[0]} of the span contract, this whywait reads version "
            f"{schema.CONTRACT_VERSION}: analyse them with the whywait that wrote them"
        )
