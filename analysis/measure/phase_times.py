"""The requests' computing by phase. A segment belongs to the innermost phase around it; phases too short for spans
are sums on the span around them, which get their share of its computing."""

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from whywait.analysis.causes import CAUSES, Cause
from whywait.analysis.model import Analysis, attribute, identities
from whywait.tracer import schema

_NOTHING: Final[tuple[str, dict[str, int]]] = ("", {})
COLUMNS: Final = ("endpoint", "request_id", "phase", "amount_ns")  # and "weight"
COMPUTING: Final = tuple(cause for cause in CAUSES if cause.info.computes)  # on a CPU, on a device


def phase_times(analysis: Analysis, *causes: Cause) -> pd.DataFrame:
    """Return one row per request and phase ("": outside any): its computing on the critical path, ns, of `causes`
    (default COMPUTING). A request's amounts sum to its computing."""
    rows = analysis.causes[analysis.causes["cause"].isin(causes or COMPUTING)]
    if rows.empty:
        return pd.DataFrame(columns=list(COLUMNS)).astype({"amount_ns": "int64"}).assign(weight=1.0)
    own = rows.groupby(["endpoint", "request_id", "span_id"], sort=False)["amount_ns"].sum()
    # each span's time on the critical path: the sums are of its running time as a whole
    ran_ns = analysis.causes.groupby("span_id", sort=False)["amount_ns"].sum().to_dict()
    known = _with_phases(analysis.spans, own.index.get_level_values("span_id").unique())
    # the few spans with sums: each sum becomes a row, and the remainder stays with the span
    outer: list[tuple[Any, ...]] = []
    inner: list[tuple[Any, ...]] = []
    for (endpoint, request_id, key), amount in zip(own.index.tolist(), own.tolist(), strict=True):
        word, sums = known.get(key, _NOTHING)
        left, whole = amount, max(ran_ns[key], sum(sums.values()), 1) if sums else 1
        for small, ns in sums.items():
            part = min(amount * ns // whole, left)
            left -= part
            inner.append((endpoint, request_id, small, part))
        outer.append((endpoint, request_id, word, left))
    made = pd.DataFrame(outer + inner, columns=list(COLUMNS), dtype=object).astype({"amount_ns": "int64"})
    grouped = made.groupby(["endpoint", "request_id", "phase"], sort=False)["amount_ns"].sum().reset_index()
    weight = analysis.requests.drop_duplicates("request_id").set_index("request_id")["weight"]
    grouped["weight"] = grouped["request_id"].map(weight)
    return grouped[grouped["amount_ns"] > 0].reset_index(drop=True)


def _with_phases(spans: pd.DataFrame, keys: "pd.Index[str]") -> dict[str, tuple[str, dict[str, int]]]:
    """Return the phase, and the sums of short phases, of spans that have any."""
    known: dict[str, tuple[str, dict[str, int]]] = {}
    ids = identities(spans)
    asked = ids.isin(keys)
    of_asked, words = spans.loc[asked, "attributes"].tolist(), attribute(spans, schema.PHASE)[asked]
    small = {key for key in set[str]().union(*of_asked) if key.startswith(schema.PHASE_SMALL_PREFIX)}
    for key, word, attributes in zip(ids[asked], words, of_asked, strict=True):
        sums = {} if small.isdisjoint(attributes) else dict(_small(attributes))
        if word or sums:
            known[key] = (str(word or ""), sums)
    return known


def _small(attributes: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for key, ns in attributes.items():
        if key.startswith(schema.PHASE_SMALL_PREFIX) and isinstance(ns, int) and 0 < ns < 2**53:
            yield key[len(schema.PHASE_SMALL_PREFIX) : -len("_ns")].replace("_", " "), ns
