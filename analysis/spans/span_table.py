"""The spans as arrays, and look-up by ids. Every later step refers to a span by its row."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whywait.analysis.attributes import Attributes, objects
from whywait.analysis.model import attributes_of, identities
from whywait.tracer import schema

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Texts = NDArray[np.object_]

NONE: Final = -1  # no row, no activity, not measured
_LARGEST: Final = 2**53
_TEXTS: Final = (schema.KIND, schema.ACTIVITY, schema.WAIT, schema.PHASE, schema.FOR, schema.FOR_MODULE)
_INTS: Final = (schema.CPU_NS, schema.RUN_QUEUE_NS, schema.GIL_NS, schema.LOCK_NS, schema.CALL_NS)
KEPT: Final = (schema.KIND, schema.PHASE)  # that are asked again, of all spans, after the analysis


class Dicts(dict[Any, dict[str, Any]]):
    """The attributes of each row that was asked for."""

    def __init__(self, of: Attributes) -> None:
        self.of = of

    def __missing__(self, row: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.of[row]
        self[row] = found
        return found

    def fetch(self, rows: Ints) -> None:
        """Make those of the rows together: much faster than one by one."""
        new = [row for row in rows.tolist() if row not in self]
        self.update(zip(new, self.of[np.array(new, dtype=np.int64)], strict=True))


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of spans by their ids."""

    trace_ids: Texts
    by_identity: dict[str, int]
    doubled: bool  # several traces have some span id

    def find(self, trace_ids: Texts, span_ids: Texts) -> Ints:
        """Return the rows of the spans with these ids, NONE where there is no such span."""
        rows = self._named(span_ids)
        rows[rows >= 0] = np.where(self.trace_ids[rows[rows >= 0]] == trace_ids[rows >= 0], rows[rows >= 0], NONE)
        if self.doubled and (rows < 0).any():
            rows[rows < 0] = self._named(trace_ids[rows < 0] + "/" + span_ids[rows < 0])
        return rows

    def _named(self, names: Texts) -> Ints:
        return np.array([self.by_identity.get(one, NONE) for one in names.tolist()], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class SpanTable:
    """Arrays over the rows of the cleaned spans."""

    trace_ids: Texts
    span_ids: Texts
    identities: Texts  # span ids, distinct in all traces (model.identities)
    names: Texts
    services: Texts
    span_kinds: Texts
    traces: Ints  # number of the trace
    start: Ints
    end: Ints
    errors: Bools
    attributes: "Dicts"
    columns: dict[str, NDArray[Any]]  # what most steps ask of the attributes, as `texts` and `ints` give it
    parents: Ints  # row of the parent, NONE without one
    rows: "Rows"

    @property
    def kinds(self) -> Texts:
        """KIND_* of the contract, "" for spans of others."""
        return self.columns[schema.KIND]

    def find(self, trace_ids: Texts, span_ids: Texts) -> Ints:
        """Return the rows of the spans with these ids, NONE where there is no such span."""
        return self.rows.find(trace_ids, span_ids)

    def texts(self, rows: Ints, key: str) -> Texts:
        """Return a text attribute of the rows; "" where it is missing or not a text."""
        if key in _TEXTS:
            return self.columns[key][rows]
        return _texts(self.attributes.of[rows].column(key, ""))

    def ints(self, rows: Ints, key: str) -> Ints:
        """Return an integer attribute of the rows; NONE where it is missing, negative or not a number."""
        if key in _INTS:
            return self.columns[key][rows]
        return _ints(self.attributes.of[rows].column(key, NONE))

    def values(self, rows: Ints, key: str) -> list[Any]:
        """Return an attribute of the rows unchanged; None where it is missing."""
        found: list[Any] = self.attributes.of[rows].column(key).tolist()
        return found


def span_table(spans: pd.DataFrame) -> SpanTable:
    """Return the arrays of cleaned spans; the frame stays unchanged."""
    trace_ids, span_ids = _column(spans, "trace_id"), _column(spans, "span_id")
    attributes = attributes_of(spans)
    known = objects(identities(spans).tolist())
    rows = Rows(trace_ids, dict(zip(known.tolist(), range(len(known)), strict=True)), bool((known != span_ids).any()))
    return SpanTable(
        trace_ids=trace_ids,
        span_ids=span_ids,
        identities=known,
        names=_column(spans, "name"),
        services=_column(spans, "service"),
        span_kinds=_column(spans, "span_kind"),
        traces=pd.factorize(trace_ids)[0].astype(np.int64),
        start=spans["start_ns"].to_numpy(dtype=np.int64),
        end=spans["end_ns"].to_numpy(dtype=np.int64),
        errors=spans["error"].to_numpy(dtype=bool),
        attributes=Dicts(attributes),
        columns={key: _texts(attributes.column(key, "")) for key in _TEXTS}
        | {key: _ints(attributes.column(key, NONE)) for key in _INTS},
        parents=rows.find(trace_ids, _column(spans, "parent_id")),
        rows=rows,
    )


def nearest(parents: Ints, wanted: Bools) -> Ints:
    """Return for each row the nearest wanted one from it upwards, itself included; NONE without one."""
    rows = np.arange(len(parents))
    at = np.where(wanted, rows, np.where(parents < 0, rows, parents))
    for _ in range(len(parents).bit_length()):  # twice as far up in each round; a circle leads nowhere
        at = at[at]
    return np.where(wanted[at], at, NONE)


def taken(values: NDArray[Any], index: Ints, default: Any = NONE) -> NDArray[Any]:
    """Return the values at the index, the default where the index is NONE."""
    if len(values) == 0:
        return np.full(len(index), default, dtype=values.dtype)
    return np.asarray(np.where(index >= 0, values[index], default), dtype=values.dtype)


def distinct(values: Ints) -> Ints:
    """Return the different values, sorted. NumPy's own `unique` hashes since 2.3: a hundred times slower on what is
    nearly sorted, as times and rows are."""
    values = np.sort(values, kind="stable")
    first: Bools = np.append(True, values[1:] != values[:-1])[: len(values)]
    return np.asarray(values[first], dtype=np.int64)


def _column(spans: pd.DataFrame, name: str) -> Texts:
    return objects(spans[name].tolist())


def _texts(values: Texts) -> Texts:
    listed = values.tolist()
    return (
        values if set(map(type, listed)) <= {str} else objects([one if isinstance(one, str) else "" for one in listed])
    )


def _ints(values: Texts) -> Ints:
    listed = values.tolist()
    if not set(map(type, listed)) <= {int} or min(listed, default=0) < NONE or max(listed, default=0) >= _LARGEST:
        listed = [one if _countable(one) else NONE for one in listed]
    return np.array(listed, dtype=np.int64)


def _countable(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST
