"""Stretches of running that no sample met: each is a few ms, and they may be most of what an endpoint or a job computes.

What those of the same endpoint, on the loop, or of jobs of the same function ran that were sampled, by chance, says what
these ran.
"""

from typing import Final

import numpy as np
import pandas as pd

from whywait.analysis.attributes import objects
from whywait.analysis.causes import NUMBER, Cause
from whywait.analysis.path.segments import Segments
from whywait.analysis.spans.span_table import Ints, SpanTable, Texts
from whywait.tracer import schema

_LEAST_SAMPLES: Final = 5  # stretches of an endpoint
_MOST_NAMES: Final = 3
_NAME: Final = ["culprit", "file", "line"]
_CODE: Final = (schema.CODE_FUNCTION, schema.CODE_FILE, schema.CODE_LINE)


def name_short_stretches(
    spans: SpanTable, segments: Segments, cause: Ints, request_rows: Ints, table: pd.DataFrame
) -> pd.DataFrame:
    """Return the culprits, with those that are such a stretch of computing, or blocked the loop or kept the GIL by one,
    divided among the functions of the sampled ones."""
    of = cause[table["segment"]]
    computed, busy, gil = (of == NUMBER[one] for one in (Cause.COMPUTE, Cause.LOOP_BUSY, Cause.GIL_WAIT))
    rows = np.full(len(table), -1)
    trace_ids, span_ids = (table[key].to_numpy(dtype=object) for key in ("trace_id", "span_id"))
    rows[computed] = spans.find(trace_ids[computed], span_ids[computed])
    blocks = (rows >= 0) & (spans.kinds[rows] == schema.KIND_BLOCK)
    jobs = (rows >= 0) & (spans.kinds[rows] == schema.KIND_RUN)
    shown = blocks.copy()
    shown[blocks] = spans.texts(rows[blocks], schema.CODE_FUNCTION) != ""
    key = spans.names[request_rows[segments.request[table["segment"]]]]  # the endpoint
    key[busy] = table["culprit"][busy]
    places = _places(*(table[name].to_numpy(dtype=object)[jobs | gil] for name in _NAME))
    key[jobs | gil] = places
    own = _places(*(objects(spans.values(rows[jobs], name)) for name in _CODE))
    shown[jobs], key[jobs] = key[jobs] != own, own
    length = np.where(blocks, spans.end[rows] - spans.start[rows], table["ns"])
    shares = _shares(table[shown].assign(key=key[shown]))
    if shares.empty:
        return table
    bare = (((blocks | jobs) & ~shown) | busy | gil) & (length >= schema.LOOKED_AT_NS) & np.isin(key, shares["key"])
    named = table[bare].assign(key=key[bare]).drop(columns=_NAME).merge(shares, on="key")
    upto = np.rint(named["ns"] * named["upto"])
    named["ns"] = (upto - np.rint(named["ns"] * (named["upto"] - named["share"]))).astype(np.int64)
    found: pd.DataFrame = pd.concat([table[~bare], named[named["ns"] > 0]], ignore_index=True)
    return found.loc[:, [*table.columns]]


def _places(function: Texts, file: Texts, line: Texts) -> Texts:
    return objects([f"{one} ({where}:{at})" for one, where, at in zip(function, file, line, strict=True)])


def _shares(known: pd.DataFrame) -> pd.DataFrame:
    """Of each endpoint or job's function with enough samples: what it ran, with their shares and the sums of these so far."""
    known = known[known.groupby("key")["ns"].transform("size") >= _LEAST_SAMPLES]
    sums = known.groupby(["key", "culprit", "file"], as_index=False).agg(line=("line", "first"), ns=("ns", "sum"))
    sums = sums.sort_values("ns", ascending=False).groupby("key").head(_MOST_NAMES)
    share = sums["ns"] / sums.groupby("key")["ns"].transform("sum")
    return sums.drop(columns="ns").assign(share=share, upto=share.groupby(sums["key"]).cumsum())
