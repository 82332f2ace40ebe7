"""Requests that stand for others: a tracer that keeps few traces says how many requests each is worth."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def percentiles(values: "pd.Series[Any] | NDArray[Any]", weights: Any, which: Sequence[float]) -> Floats:
    """Return these percentiles of values that each stand for so many; interpolated where all weigh alike."""
    values, weights = np.asarray(values), np.asarray(weights, dtype=np.float64)
    if len(values) == 0 or bool(np.all(weights == weights[0])):
        return np.asarray(np.percentile(values, which), dtype=np.float64)
    found = np.percentile(values, which, weights=weights, method="inverted_cdf")
    return np.asarray(found, dtype=np.float64)


def weighted(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the table with a column of amounts multiplied by its `weight`: its sums are for all requests."""
    weights = weights_of(table)
    if bool((weights == 1).all()):
        return table
    return table.assign(**{column: table[column] * weights})


def weights_of(table: pd.DataFrame) -> "pd.Series[float]":
    """Return the `weight` of each row; 1 where a table of one's own making has none."""
    if "weight" not in table.columns:
        return pd.Series(1.0, index=table.index)
    return table["weight"].astype("float64").fillna(1.0)
