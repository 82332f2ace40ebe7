"""The slowest requests as a table to search, sort and add up."""

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from whywait.analysis.measure.felt import differ
from whywait.analysis.model import Analysis
from whywait.analysis.text import milliseconds

MOST_LISTED: Final = 300  # about 400 bytes each
_CAUSES: Final = 4  # of each request


def listed(analysis: Analysis) -> Iterator[dict[str, Any]]:
    """Yield the slowest requests: when each came after the first, how it ended, both of its times, its chief causes."""
    requests = analysis.analysed.sort_values("wall_ns", ascending=False).head(MOST_LISTED)
    causes = analysis.causes[analysis.causes["request_id"].isin(requests["request_id"])]
    sums = causes.groupby(["request_id", "cause"], sort=False, observed=True)["amount_ns"].sum()
    chief: dict[str, list[tuple[str, float]]] = {}
    for one in sums.reset_index().sort_values("amount_ns", ascending=False).to_dict("records"):
        chief.setdefault(one["request_id"], []).append((str(one["cause"]), float(one["amount_ns"])))
    begun_ns = int(analysis.requests["start_ns"].min()) if len(analysis.requests) else 0
    for row in requests.to_dict("records"):
        wall_ns, handler_ns = int(row["wall_ns"]), int(row["handler_ns"])
        status = "" if pd.isna(row["status_code"]) else str(row["status_code"])
        yield {
            "endpoint": row["endpoint"],
            "trace_id": row["trace_id"],
            "status": " ".join(filter(None, (status, row["error_type"] or "error" * bool(row["error"])))),
            "at_s": (int(row["start_ns"]) - begun_ns) / 1e9,
            "felt": milliseconds(wall_ns),
            "handler": milliseconds(handler_ns) if differ(wall_ns, handler_ns) else "",
            "causes": [(cause, milliseconds(ns)) for cause, ns in chief[row["request_id"]][:_CAUSES] if ns],
        }
