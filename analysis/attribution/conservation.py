"""Checks the invariant: the rows of each request sum to its wall time, to the nanosecond, without gap or overlap."""

import numpy as np
import pandas as pd

from whywait.analysis.grouped import columns


class ConservationError(AssertionError):
    """Rows leave a gap in their request, or overlap: a bug in the analysis, never bad input."""


def check_conservation(requests: pd.DataFrame, causes: pd.DataFrame) -> None:
    """Raise ConservationError unless the rows of every analysed request touch, never overlap and sum to its wall
    time."""
    key = ["trace_id", "request_id"]
    by_request = causes.groupby(key, sort=False)
    number = by_request.ngroup().to_numpy()
    order = np.lexsort((causes["start_ns"], number))
    start, end, amount = (causes[name].to_numpy()[order] for name in ("start_ns", "end_ns", "amount_ns"))
    same = number[order][1:] == number[order][:-1]
    if not (start < end).all() or not (amount == end - start).all():
        raise ConservationError("a row is empty, or its amount is not its length")
    if not (start[1:] == end[:-1])[same].all():
        raise ConservationError("rows of a request overlap or leave a gap")
    found = columns(by_request, first=("start_ns", "min"), last=("end_ns", "max"), total=("amount_ns", "sum"))
    wanted = requests.loc[requests["wall_ns"] > 0].set_index(key)
    both = wanted.join(found, how="outer")
    whole = (both["first"] == both["start_ns"]) & (both["last"] == both["end_ns"]) & (both["total"] == both["wall_ns"])
    if not np.asarray(whole, dtype=bool).all():
        request = both.index[~np.asarray(whole, dtype=bool)][0]
        raise ConservationError(f"the rows of request {request} do not sum to its wall time")
