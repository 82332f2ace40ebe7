"""How the causes of requests change with load: with how many others were open when they came."""

from typing import Final

import numpy as np
import pandas as pd

from analysis.causes import CAUSES
from analysis.model import Analysis

COLUMNS: Final = ("in_flight", "low", "high", "requests", "cause", "mean_ns", "p95_ns")
MOST_LEVELS: Final = 6


def in_flight(requests: pd.DataFrame) -> "pd.Series[int]":
    """Return for each request how many were open when it came, itself among them."""
    begun, ended = np.sort(requests["start_ns"].to_numpy()), np.sort(requests["end_ns"].to_numpy())
    start = requests["start_ns"].to_numpy()
    count = np.searchsorted(begun, start, side="right") - np.searchsorted(ended, start, side="right")
    return pd.Series(np.maximum(count, 1), index=requests.index, name="in_flight")


def causes_by_load(analysis: Analysis, levels: int = MOST_LEVELS) -> pd.DataFrame:
    """Return one row per level of load and cause (COLUMNS): mean and 95th percentile per request, ns.

    Levels hold about as many requests each, at most `levels`; `in_flight` is the mean of those in it. Causes that
    never occurred have no rows; one that occurred at any level has a row at each, so curves have no gaps.
    """
    analysed = analysis.requests[analysis.requests["request_id"].isin(analysis.causes["request_id"])]
    if analysed.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    open_ones = in_flight(analysed)
    cuts = np.unique(np.quantile(open_ones, np.linspace(0, 1, levels + 1)[1:-1], method="higher"))
    level = pd.Series(np.searchsorted(cuts, open_ones, side="left"), index=analysed["request_id"].to_numpy())
    wide = analysis.causes.pivot_table(
        index="request_id", columns="cause", values="amount_ns", aggfunc="sum", fill_value=0, observed=True
    )
    by_request = open_ones.set_axis(analysed["request_id"].to_numpy())
    rows = []
    for number in sorted(set(level)):
        ids = level.index[level == number]
        inside, seen = wide.loc[wide.index.isin(ids)], by_request[ids]
        for cause in (one for one in CAUSES if one in wide.columns):
            amounts = inside[cause].to_numpy()
            rows.append(
                (float(seen.mean()), int(seen.min()), int(seen.max()), len(inside), str(cause),
                 float(amounts.mean()), float(np.percentile(amounts, 95)))
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
