"""How the causes of requests change with load: the number of requests open at their arrival."""

from typing import Final

import numpy as np
import pandas as pd

from whywait.analysis.causes import CAUSES
from whywait.analysis.measure.weights import Floats, percentiles, weights_of
from whywait.analysis.model import Analysis
from whywait.analysis.spans.span_table import Ints

COLUMNS: Final = ("in_flight", "low", "high", "requests", "cause", "mean_ns", "p95_ns")
MOST_LEVELS: Final = 6


def in_flight(requests: pd.DataFrame) -> "pd.Series[float]":
    """Return for each request how many were open at its arrival, itself included; others count by weight."""
    weight = weights_of(requests).to_numpy(dtype=np.float64)
    start, end = requests["start_ns"].to_numpy(), requests["end_ns"].to_numpy()

    def upto_start(moments: Ints) -> Floats:
        order = np.argsort(moments, kind="stable")
        sums = np.append(0.0, np.cumsum(weight[order]))
        found: Floats = sums[np.searchsorted(moments[order], start, side="right")]
        return found

    others = upto_start(start) - upto_start(end) - weight
    return pd.Series(np.maximum(others, 0) + 1, index=requests.index, name="in_flight")


def causes_by_load(analysis: Analysis, levels: int = MOST_LEVELS) -> pd.DataFrame:
    """Return mean and 95th percentile per request, ns, for each of about equally large `levels` of load and each
    cause that occurred (COLUMNS)."""
    analysed = analysis.analysed
    if analysed.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    open_ones = in_flight(analysed)
    cuts = np.unique(np.quantile(open_ones, np.linspace(0, 1, levels + 1)[1:-1], method="higher"))
    level = pd.Series(np.searchsorted(cuts, open_ones, side="left"), index=analysed["request_id"].to_numpy())
    wide = analysis.causes.pivot_table(
        index="request_id", columns="cause", values="amount_ns", aggfunc="sum", fill_value=0, observed=True
    )
    weights = pd.Series(weights_of(analysed).to_numpy(), index=analysed["request_id"].to_numpy())
    by_request = open_ones.set_axis(analysed["request_id"].to_numpy())
    rows = []
    for number in sorted(set(level)):
        ids = level.index[level == number]
        inside, seen = wide.loc[wide.index.isin(ids)], by_request[ids]
        weight = weights[inside.index].to_numpy()
        for cause in (one for one in CAUSES if one in wide.columns):
            amounts = inside[cause].to_numpy()
            rows.append(
                (float(seen.mean()), round(seen.min()), round(seen.max()), len(inside), str(cause),
                 float(np.average(amounts, weights=weight)), float(percentiles(amounts, weight, [95])[0]))
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
