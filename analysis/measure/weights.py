"""Weights: under tail sampling each kept request represents a number of requests."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def nearest_rank(upto: Floats, percentile: float) -> int:
    """Return the first row whose cumulative weight reaches the percentile: one real value, never an interpolation."""
    target = percentile / 100 * upto[-1] * (1 - 1e-12)
    return min(int(np.searchsorted(upto, target, side="left")), len(upto) - 1)


def percentiles(values: "pd.Series[Any] | NDArray[Any]", weights: Any, which: Sequence[float]) -> NDArray[Any]:
    """Return these percentiles of weighted values, by nearest rank."""
    values = np.asarray(values)
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(np.asarray(weights, dtype=np.float64)[order])
    found: NDArray[Any] = values[order[[nearest_rank(upto, one) for one in which]]]
    return found


def weighted(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the table with a column of amounts multiplied by its `weight`: its sums are for all requests."""
    weights = weights_of(table)
    if bool((weights == 1).all()):
        return table
    return table.assign(**{column: table[column] * weights})


def weights_of(table: pd.DataFrame) -> "pd.Series[float]":
    """Return the `weight` of each row; 1 for a table without that column."""
    if "weight" not in table.columns:
        return pd.Series(1.0, index=table.index)
    return table["weight"].astype("float64").fillna(1.0)
