"""What the requests computed, by phase: transform, conversion, compute, and what a library calls its own.

A stretch belongs to the innermost phase around it. Phases too short for spans of their own left sums on
the span around them; such a sum takes its part of that span's computing, by length.
"""

from typing import Any, Final

import numpy as np
import pandas as pd

from analysis.causes import Cause
from analysis.model import Analysis
from tracer import schema

COLUMNS: Final = ("endpoint", "request_id", "phase", "amount_ns")
COMPUTING: Final = (Cause.COMPUTE, Cause.GPU_COMPUTE, Cause.GPU_COPY)  # on a CPU, on a device


def phase_times(analysis: Analysis, *causes: Cause) -> pd.DataFrame:
    """Return one row per request and phase: the ns that the request computed in it, on its path.

    `causes` says which computing is meant; all of COMPUTING where none is given. The amounts of a
    request sum to its computing; what no phase covers has phase "".
    """
    rows = analysis.causes[analysis.causes["cause"].isin(causes or COMPUTING)]
    if rows.empty:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS}).astype(
            {"amount_ns": "int64"}
        )
    own = rows.groupby(["endpoint", "request_id", "trace_id", "span_id"], sort=False)["amount_ns"].sum()
    # how long each span was on the path for any reason: the sums are of its running time as a whole
    ran = analysis.causes.groupby(["trace_id", "span_id"], sort=False)["amount_ns"].sum()
    table = own.reset_index()
    keys = pd.MultiIndex.from_frame(table[["trace_id", "span_id"]])
    table["ran_ns"] = ran.reindex(keys).to_numpy(dtype=np.int64)
    known = _with_phases(analysis.spans, keys)
    found: list[tuple[Any, ...]] = []
    for key, endpoint, request_id, amount, ran_ns in zip(
        keys, table["endpoint"], table["request_id"], table["amount_ns"], table["ran_ns"], strict=True
    ):
        word, sums = known.get(key, ("", {}))
        left = int(amount)
        whole = max(int(ran_ns), sum(sums.values()), 1)
        for inner, ns in sums.items():
            part = min(int(amount) * ns // whole, left)
            left -= part
            found.append((endpoint, request_id, inner, part))
        found.append((endpoint, request_id, word, left))
    made = pd.DataFrame(found, columns=list(COLUMNS))
    grouped = made.groupby(["endpoint", "request_id", "phase"], sort=False)["amount_ns"].sum().reset_index()
    return grouped[grouped["amount_ns"] > 0].reset_index(drop=True)


def _with_phases(spans: pd.DataFrame, keys: pd.MultiIndex) -> dict[Any, tuple[str, dict[str, int]]]:
    """Return the phase, and the sums of short phases, of those spans that have any."""
    known: dict[Any, tuple[str, dict[str, int]]] = {}
    at = pd.MultiIndex.from_frame(spans[["trace_id", "span_id"]])
    named = spans.loc[at.isin(keys), ["trace_id", "span_id", "attributes"]]
    for trace_id, span_id, attributes in zip(
        named["trace_id"], named["span_id"], named["attributes"], strict=True
    ):
        word = attributes.get(schema.PHASE)
        sums = {
            key[len(schema.PHASE_SMALL_PREFIX) : -len("_ns")].replace("_", " "): ns
            for key, ns in attributes.items()
            if key.startswith(schema.PHASE_SMALL_PREFIX) and isinstance(ns, int) and 0 < ns < 2**53
        }
        if word or sums:
            known[(trace_id, span_id)] = (str(word or ""), sums)
    return known
