"""Selects a part of an analysis: the same frames with fewer requests."""

from dataclasses import replace
from typing import Any

import pandas as pd

from whywait.analysis.errors import InputError
from whywait.analysis.model import Analysis


def only_endpoint(analysis: Analysis, text: str) -> Analysis:
    """Return the analysis of the endpoints whose name contains `text`. Raises InputError when there are none."""
    chosen = analysis.requests["endpoint"].str.contains(text, regex=False).to_numpy(dtype=bool)
    if not chosen.any():
        known = ", ".join(sorted(analysis.requests["endpoint"].unique())[:10])
        raise InputError(f"no endpoint contains {text!r}; there are: {known}")
    return only_requests(analysis, analysis.requests[chosen])


def only_requests(analysis: Analysis, requests: pd.DataFrame) -> Analysis:
    """Return the analysis of these rows of its `requests`; all spans stay, as other requests may have done the work."""
    ids = set(requests["request_id"])
    return replace(
        analysis,
        requests=requests,
        causes=analysis.causes[analysis.causes["request_id"].isin(ids)],
        culprits=analysis.culprits[analysis.culprits["request_id"].isin(ids)],
    )


def only_slowest(analysis: Analysis, count: int) -> Analysis:
    """Return the analysis of the slowest analysed requests, at most `count`."""
    analysed = analysis.analysed
    return only_requests(analysis, analysed.sort_values("wall_ns", ascending=False).head(count))


def renamed(analysis: Analysis, name: str) -> Analysis:
    """Return the analysis with one endpoint's name for all requests, so that two analyses can be compared."""
    return replace(
        analysis,
        requests=analysis.requests.assign(endpoint=name),
        causes=analysis.causes.assign(endpoint=name),
        culprits=analysis.culprits.assign(endpoint=name),
    )


def request_row(analysis: Analysis, request_id: str | None = None) -> dict[str, Any]:
    """Return one analysed request by its id or trace id, default the slowest. Raises InputError for none."""
    analysed = analysis.analysed
    if request_id is not None:
        analysed = analysed[(analysed["request_id"] == request_id) | (analysed["trace_id"] == request_id)]
    if analysed.empty:
        asked = "no request was recorded whole" if request_id is None else f"no analysed request {request_id!r}"
        raise InputError(f"{asked}: take a request_id or trace_id of `causes`")
    row = analysed.sort_values("wall_ns", ascending=False).iloc[0]
    return {str(name): row[name] for name in row.index}
