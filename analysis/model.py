"""Column names and value types that the steps of the analysis exchange. Declared once."""

from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from whywait.analysis.attributes import Attributes

# One row per span, as `load_traces` returns it. Ids are lower-case hex strings ("" = none), times are
# int64 ns since the epoch. Attributes of the contract that are not columns stay in `attributes`.
SPAN_COLUMNS: Final = (
    "trace_id", "span_id", "parent_id",  # str
    "name", "service", "scope",  # str
    "span_kind",  # "server" | "internal" | "client" | "producer" | "consumer" | ""
    "start_ns", "end_ns",  # int64
    "error",  # bool
    "attributes",  # dict[str, scalar | list]
    "links",  # list[(trace_id, span_id)]
)  # fmt: skip

IDENTITY: Final = "identity"  # a column of the analysed spans
NO_ARRIVAL: Final = "no_arrival"  # among a request's signals: when it arrived is not known
NO_SIGNALS: Final = "all"  # in place of a signal that is missing: the traces are not whywait's
# One row per request: a SERVER span, or the root phase of work outside a request.
REQUEST_COLUMNS: Final = (
    "trace_id", "request_id",  # request_id = identity of the request's own span
    "service", "endpoint",  # endpoint = http.route with method when known, else the span's name
    "status_code",  # Int64, <NA> when unknown
    "error",  # bool
    "error_type",  # str: the exception's class, "" when unknown
    "start_ns", "end_ns", "wall_ns",  # int64: the window, what clients felt as far as this host can know
    "handler_ns",  # int64: the part of the window in the handler (the SERVER span); wall_ns where no more is known
    "first_byte_ns",  # int64: from the window's start until a response of several parts had begun; 0 of any other
    "nagle",  # bool: Nagle's algorithm held the answer's last bytes until the client's ACK
    "unfinished",  # bool: it had not ended when it was recorded, so that it took longer
    "incomplete",  # bool: not analysed; a finding has the reason
    "signals",  # tuple[str, ...]: the signals that the tracer could observe
    "weight",  # float64: how many requests this one represents, 1 without tail sampling
)  # fmt: skip

# One row per request and segment. The rows of one request cover its [start_ns, end_ns) exactly:
# sorted by start they touch, never overlap, and amount_ns = end_ns - start_ns sums to wall_ns.
# Where one stretch of running divides into amounts whose order inside it is unknown (CPU, run queue,
# rest), the amounts are put one after the other and `placed` is False.
CAUSE_COLUMNS: Final = (
    "trace_id", "request_id", "endpoint",
    "start_ns", "end_ns", "amount_ns",  # int64
    "cause",  # Cause value
    "evidence",  # Evidence value
    "placed",  # bool
    "activity_id", "activity_name",  # identity and name of the task or job that the critical path passes through here
    "span_id", "span_name",  # identity and name of the innermost span around it (phase, run, wait, ...)
    "detail",  # str: one short phrase, e.g. "pool 'predict' (6 workers)", "awaiting db.py:40 fetch"
    "culprit",  # str: name of the chief culprit, "" when there is none
    "culprit_file", "culprit_line",  # str, Int64
    "culprit_trace_id", "culprit_span_id",  # str
    "error_ns",  # int64: standard error of a sampled amount, 0 where it was observed
    "culprit_ns",  # int64: the chief culprit's share of amount_ns, in ns
    "weight",  # float64, of the request
)  # fmt: skip

# One row per segment and culprit (a pool queue has many occupants); `ns` of a segment sums to its
# amount where the tracer named every culprit.
CULPRIT_COLUMNS: Final = (
    "trace_id", "request_id", "endpoint", "cause", "start_ns",
    "culprit", "culprit_file", "culprit_line", "culprit_trace_id", "culprit_span_id", "ns", "weight",
)  # fmt: skip


def identities(spans: pd.DataFrame) -> "pd.Series[str]":
    """Return for each span what tells it from all others: its span id, after its trace id and "/" where several
    traces have this span id."""
    if IDENTITY in spans.columns:  # of the analysis, which asked before
        return spans[IDENTITY]
    span_ids = spans["span_id"].astype(object)
    return span_ids.mask(span_ids.duplicated(keep=False), spans["trace_id"].astype(object) + "/" + span_ids)


def span_id_of(trace_id: object, identity: object) -> str:
    """Return the span id, as it was recorded, of a span with this identity in this trace."""
    return str(identity).removeprefix(f"{trace_id}/")


def attribute(spans: pd.DataFrame, key: str) -> "pd.Series[Any]":
    """Return an attribute of each span; "" where it is missing."""
    if key in spans.columns:  # of the analysis: SpanTable.columns
        return spans[key]
    return pd.Series(attributes_of(spans).column(key, ""), index=spans.index, dtype=object)


def named_by(spans: pd.DataFrame, key: str, trace_key: str = "") -> "pd.Series[Any]":
    """Return trace id and span id of the span that two attributes of each span name; without a trace id, in its own."""
    trace_ids = attribute(spans, trace_key)
    return trace_ids.mask(trace_ids == "", spans["trace_id"]).map(str) + "/" + attribute(spans, key).map(str)


def attributes_of(spans: pd.DataFrame) -> Attributes:
    """Return the attributes of spans, which may be dicts."""
    column = spans["attributes"].array
    return column if isinstance(column, Attributes) else Attributes.of(column.tolist())


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem in the data or a signal missing on the machine, reported once, with its number of occurrences."""

    code: str  # stable, machine-readable: "clipped-span", "orphan-span", "incomplete-trace", ...
    message: str  # one sentence for a person
    count: int = 1
    trace_ids: tuple[str, ...] = ()  # examples, at most ten


@dataclass(frozen=True, slots=True)
class Traces:
    """Spans as loaded, before any check, and findings about loading."""

    spans: pd.DataFrame
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """The whole result for one set of traces."""

    requests: pd.DataFrame
    causes: pd.DataFrame
    culprits: pd.DataFrame
    spans: pd.DataFrame
    findings: tuple[Finding, ...] = field(default=())

    @property
    def analysed(self) -> pd.DataFrame:
        """The analysed requests: those of `requests` that were recorded whole."""
        return self.requests[self.requests["request_id"].isin(self.causes["request_id"].unique())]
