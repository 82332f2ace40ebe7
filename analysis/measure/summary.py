"""Sums and percentiles over many requests. Frames in, a new frame out."""

from typing import Final

import numpy as np
import pandas as pd

from whywait.analysis.causes import NO_CULPRIT, Cause, Evidence
from whywait.analysis.grouped import columns
from whywait.analysis.measure.weights import percentiles, weighted, weights_of

SUMMARY_COLUMNS: Final = (
    "cause", "requests", "total_ns", "mean_ns", "share", "p50_ns", "p95_ns", "p99_ns", "inferred_share",
)  # fmt: skip
PERCENTILES: Final = (50, 95, 99)


def summarize(causes: pd.DataFrame, by: str = "endpoint") -> pd.DataFrame:
    """Return one row per group (column `by` of `causes`) and cause, the largest share first. Counts and percentiles
    are over all requests of the group (0 ns without the cause) and weighted; `share` sums to 1. Raises KeyError for
    an unknown column."""
    if by not in causes.columns:
        raise KeyError(f"no column {by!r} to summarize by; there are {', '.join(causes.columns)}")
    wide = causes.pivot_table("amount_ns", [by, "request_id"], "cause", aggfunc="sum", fill_value=0, observed=True)
    if wide.empty:
        return pd.DataFrame(columns=[by, *SUMMARY_COLUMNS])
    inferred = weighted(causes[causes["evidence"] == Evidence.INFERRED], "amount_ns")
    inferred_ns = inferred.groupby([by, "cause"])["amount_ns"].sum()
    weight_of = weights_of(causes).groupby(causes["request_id"]).first()
    rows = []
    for name, group in wide.groupby(level=0, sort=True):
        weights = weight_of.loc[group.index.get_level_values("request_id")].to_numpy(dtype=np.float64)
        count = float(weights.sum())
        wall_ns = float(group.to_numpy().sum(axis=1) @ weights)
        for cause in group.columns:
            amounts = group[cause].to_numpy(dtype=np.int64)
            if amounts.any():
                total = round(float(amounts @ weights))
                p50, p95, p99 = percentiles(amounts, weights, PERCENTILES)
                rows.append(
                    (name, cause, round(count), total, total / count, total / max(wall_ns, 1), p50, p95, p99,
                     float(inferred_ns.get((name, cause), 0)) / total)
                )  # fmt: skip
    table = pd.DataFrame(rows, columns=[by, *SUMMARY_COLUMNS])
    return table.sort_values([by, "total_ns", "cause"], ascending=[True, False, True]).reset_index(drop=True)


def worst_culprits(culprits: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """Return the culprits, worst first: culprit, culprit_file, culprit_line, cause, ns (an estimate for all
    requests), `victims` (traced requests) and their `endpoints`."""
    named = culprits[(culprits["culprit"] != "") & ~culprits["cause"].isin(NO_CULPRIT)]
    named = named[(named["cause"] != Cause.COMPUTE) | (named["culprit_file"] != "")]  # in a function that is known
    named = weighted(named, "ns")
    keys = ["culprit", "culprit_file", "culprit_line", "cause"]
    grouped = named.groupby(keys, dropna=False, observed=True)
    table = columns(grouped, ns=("ns", "sum"), victims=("request_id", "nunique")).reset_index()
    table = table.sort_values("ns", ascending=False).head(top).reset_index(drop=True)
    by_endpoint = named.groupby([*keys, "endpoint"], dropna=False, observed=True)["ns"].sum().reset_index()
    by_endpoint = by_endpoint.sort_values("ns", ascending=False)
    names = by_endpoint.groupby(keys, dropna=False, observed=True)["endpoint"].agg(list).rename("endpoints")
    return table.merge(names.reset_index(), on=keys, how="left")
