"""Stretches of running on the loop that no sample met: each is a few ms, and they may be most of what an endpoint computes.

What those of the same endpoint ran that were sampled, by chance, says what these ran.
"""

from typing import Final

import numpy as np
import pandas as pd

from whywait.analysis.causes import NUMBER, Cause
from whywait.analysis.path.segments import Segments
from whywait.analysis.spans.span_table import Ints, SpanTable
from whywait.tracer import schema

_LEAST_SAMPLES: Final = 5  # stretches of an endpoint
_MOST_NAMES: Final = 3
_NAME: Final = ["culprit", "file", "line"]


def name_short_stretches(
    spans: SpanTable, segments: Segments, cause: Ints, request_rows: Ints, table: pd.DataFrame
) -> pd.DataFrame:
    """Return the culprits, with those that are such a stretch of computing, or blocked the loop by one, divided among the
    functions of the sampled ones."""
    of = cause[table["segment"]]
    computed, busy = of == NUMBER[Cause.COMPUTE], of == NUMBER[Cause.LOOP_BUSY]
    rows = np.full(len(table), -1)
    trace_ids, span_ids = (table[key].to_numpy(dtype=object) for key in ("trace_id", "span_id"))
    rows[computed] = spans.find(trace_ids[computed], span_ids[computed])
    blocks = (rows >= 0) & (spans.kinds[rows] == schema.KIND_BLOCK)
    shown = blocks.copy()
    shown[blocks] = spans.texts(rows[blocks], schema.CODE_FUNCTION) != ""
    endpoint = spans.names[request_rows[segments.request[table["segment"]]]]
    length = np.where(blocks, spans.end[rows] - spans.start[rows], table["ns"])
    shares = _shares(table[shown].assign(key=endpoint[shown]))
    if shares.empty:
        return table
    key = np.where(busy, table["culprit"], endpoint)
    bare = ((blocks & ~shown) | busy) & (length >= schema.LOOKED_AT_NS) & np.isin(key, shares["key"])
    named = table[bare].assign(key=key[bare]).drop(columns=_NAME).merge(shares, on="key")
    upto = np.rint(named["ns"] * named["upto"])
    named["ns"] = (upto - np.rint(named["ns"] * (named["upto"] - named["share"]))).astype(np.int64)
    found: pd.DataFrame = pd.concat([table[~bare], named[named["ns"] > 0]], ignore_index=True)
    return found.loc[:, [*table.columns]]


def _shares(known: pd.DataFrame) -> pd.DataFrame:
    """Of each endpoint with enough samples: its functions, with their shares and the sums of these so far."""
    known = known[known.groupby("key")["ns"].transform("size") >= _LEAST_SAMPLES]
    sums = known.groupby(["key", "culprit", "file"], as_index=False).agg(line=("line", "first"), ns=("ns", "sum"))
    sums = sums.sort_values("ns", ascending=False).groupby("key").head(_MOST_NAMES)
    share = sums["ns"] / sums.groupby("key")["ns"].transform("sum")
    return sums.drop(columns="ns").assign(share=share, upto=share.groupby(sums["key"]).cumsum())
