"""Stretches of running that no sample met: each is a few ms, and they may be most of what an endpoint or a job computes.

What those of the same endpoint, on the loop, or of jobs of the same function ran that were sampled, by chance, says what
these ran.
"""

from typing import Final

import numpy as np
import pandas as pd

from whywait.analysis.attributes import objects
from whywait.analysis.attribution.culprit_names import in_library, is_middlewares, is_users
from whywait.analysis.causes import NUMBER, Cause
from whywait.analysis.grouped import columns
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


def name_by_waits(spans: SpanTable, request_rows: Ints, table: pd.DataFrame) -> pd.DataFrame:
    """Return the culprits, with those that are a library's task named by the user's function in which such tasks of the same
    endpoint wait for longest: their steps, each too short for a sample, go on there. Not a middleware's, which computes itself."""
    named_so = zip(table["culprit"], table["file"], strict=True)
    at = np.flatnonzero([in_library(file) and not is_middlewares(one, file) for one, file in named_so])
    rows = spans.find(*(table[key].to_numpy(dtype=object)[at] for key in ("trace_id", "span_id")))
    at, rows = (one[(rows >= 0) & (spans.kinds[rows] == schema.KIND_TASK)] for one in (at, rows))
    endpoints = dict(zip(spans.traces[request_rows].tolist(), spans.names[request_rows], strict=True))
    of = zip(spans.traces[rows].tolist(), spans.names[rows], strict=True)
    keys = objects([f"{endpoints.get(trace)} {name}" for trace, name in of])
    waits = np.flatnonzero((spans.kinds == schema.KIND_WAIT) & np.isin(spans.traces, np.unique(spans.traces[rows])))
    waits = waits[list(map(is_users, spans.texts(waits, schema.CODE_FILE)))]
    if not (len(at) and len(waits)):
        return table
    owners = pd.Series(spans.find(spans.trace_ids[waits], spans.texts(waits, schema.ACTIVITY)))
    places = {name: objects(spans.values(waits, one)) for name, one in zip(_NAME, _CODE, strict=True)}
    key = owners.map(dict(zip(rows.tolist(), keys, strict=True)))
    known = pd.DataFrame({"key": key, **places, "ns": spans.end[waits] - spans.start[waits]})
    sums = columns(known.groupby(["key", "culprit", "file"]), line=("line", "first"), ns=("ns", "sum")).reset_index()
    chief = sums.sort_values("ns", ascending=False).drop_duplicates("key").set_index("key")
    at, keys = (one[np.isin(keys, chief.index.to_numpy(dtype=object))] for one in (at, keys))
    named = table.copy()
    for name in _NAME:
        column = table[name].to_numpy(dtype=object).copy()
        column[at] = chief[name].reindex(keys).to_numpy(dtype=object)
        named[name] = pd.Series(column, table.index, dtype=object)
    return named


def _places(function: Texts, file: Texts, line: Texts) -> Texts:
    return objects([f"{one} ({where}:{at})" for one, where, at in zip(function, file, line, strict=True)])


def _shares(known: pd.DataFrame) -> pd.DataFrame:
    """Of each endpoint or job's function with enough samples: what it ran, with their shares and the sums of these so far."""
    known = known[known.groupby("key")["ns"].transform("size") >= _LEAST_SAMPLES]
    sums = columns(known.groupby(["key", "culprit", "file"]), line=("line", "first"), ns=("ns", "sum")).reset_index()
    sums = sums.sort_values("ns", ascending=False).groupby("key").head(_MOST_NAMES)
    share = sums["ns"] / sums.groupby("key")["ns"].transform("sum")
    return sums.drop(columns="ns").assign(share=share, upto=share.groupby(sums["key"]).cumsum())
