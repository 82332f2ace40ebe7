"""The requests' computing by phase. A segment belongs to the innermost phase around it; phases too short for spans
are sums on the span around them, which get their share of its computing."""

from collections import defaultdict
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.causes import CAUSES, Cause
from whywait.analysis.model import Analysis, attribute, attributes_of, identities
from whywait.tracer import schema

COLUMNS: Final = ("endpoint", "request_id", "phase", "amount_ns")  # and "weight"
COMPUTING: Final = tuple(cause for cause in CAUSES if cause.info.computes)  # on a CPU, on a device


def phase_times(analysis: Analysis, *causes: Cause) -> pd.DataFrame:
    """Return one row per request and phase ("": outside any): its computing on the critical path, ns, of `causes`
    (default COMPUTING). A request's amounts sum to its computing."""
    every = analysis.causes[["endpoint", "request_id", "span_id", "amount_ns"]]
    rows = every[analysis.causes["cause"].isin(causes or COMPUTING)]
    if rows.empty:
        return pd.DataFrame(columns=list(COLUMNS)).astype({"amount_ns": "int64"}).assign(weight=1.0)
    own = rows.groupby(["endpoint", "request_id", "span_id"], sort=False)["amount_ns"].sum().reset_index()
    ids = own["span_id"].tolist()
    known = _with_phases(analysis.spans, set(ids))
    words = {key: word for key, (word, _) in known.items()}
    outer = own[["endpoint", "request_id"]].assign(phase=[words.get(key, "") for key in ids])
    # the few spans with sums: each sum becomes a row, and the remainder stays with the span
    few = own[[key in known and bool(known[key][1]) for key in ids]]
    # each span's time on the critical path: the sums are of its running time as a whole
    on_path = every[every["span_id"].isin(few["span_id"])]
    ran_ns = on_path.groupby("span_id", sort=False)["amount_ns"].sum().to_dict()
    left_ns = own["amount_ns"].to_numpy(dtype=np.int64).copy()
    inner: list[tuple[Any, ...]] = []
    for at, endpoint, request_id, key, amount in few.itertuples():
        sums = known[key][1]
        whole = max(ran_ns[key], sum(sums.values()), 1)
        for small, ns in sums.items():
            part = min(amount * ns // whole, int(left_ns[at]))
            left_ns[at] -= part
            inner.append((endpoint, request_id, small, part))
    made = outer.assign(amount_ns=left_ns)
    if inner:
        of_sums = pd.DataFrame(inner, columns=list(COLUMNS), dtype=object).astype({"amount_ns": "int64"})
        made = pd.concat([made, of_sums], ignore_index=True)
    grouped = made.groupby(["endpoint", "request_id", "phase"], sort=False)["amount_ns"].sum().reset_index()
    weight = analysis.requests.drop_duplicates("request_id").set_index("request_id")["weight"]
    grouped["weight"] = grouped["request_id"].map(weight)
    return grouped[grouped["amount_ns"] > 0].reset_index(drop=True)


def _with_phases(spans: pd.DataFrame, keys: set[str]) -> dict[str, tuple[str, dict[str, int]]]:
    """Return the phase, and the sums of short phases, of spans that have any."""
    ids = identities(spans)
    chosen = ids.isin(keys).to_numpy()
    names, attributes = ids[chosen].tolist(), attributes_of(spans)[chosen]
    small: dict[str, dict[str, int]] = defaultdict(dict)
    for key in filter(lambda one: one.startswith(schema.PHASE_SMALL_PREFIX), attributes.all_keys()):
        word = key[len(schema.PHASE_SMALL_PREFIX) : -len("_ns")].replace("_", " ")
        values = attributes.column(key)
        for row in np.flatnonzero(pd.notna(values)):
            if isinstance(ns := values[row], int) and 0 < ns < 2**53:
                small[names[row]][word] = ns
    words = zip(names, attribute(spans, schema.PHASE)[chosen], strict=True)
    return {name: (str(word or ""), small.get(name, {})) for name, word in words if word or name in small}
