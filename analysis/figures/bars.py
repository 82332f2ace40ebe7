"""Stacked bars: the causes of requests' time, and of their collection delay."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from whywait.analysis.causes import CAUSES
from whywait.analysis.figures.look import colour, escaped, in_order, styled
from whywait.analysis.measure.felt import both, both_percentiles
from whywait.analysis.measure.job_times import collect_delay
from whywait.analysis.measure.percentile_composition import composition, sample_of_endpoint
from whywait.analysis.model import Analysis
from whywait.analysis.text import amount

SHOWN = 20
ENDPOINTS = 4
ROOM = 0.18  # of the longest bar: for a culprit's name
LEAST_SHARE = 0.01  # of the longest delay: shorter ones would be invisible


def where_time_went(analyses: Mapping[str, Analysis], percentiles: tuple[float, ...] = (50, 95)) -> go.Figure:
    """Return one bar per name, endpoint and percentile of wall time, divided among causes to the nanosecond, with who
    caused most of each. Of each analysis the endpoints that took most time."""
    rows = [
        (f"{escaped(name)}<br>{escaped(endpoint, 40)}<br>p{percentile:g}", _divided(analysis, endpoint, percentile),
         _who(analysis.culprits[analysis.culprits["endpoint"] == endpoint], ["cause"]))
        for name, analysis in analyses.items()
        for endpoint in _endpoints(analysis)
        for percentile in percentiles
    ]  # fmt: skip
    labels = [label for label, _, _ in rows]
    handler_ns = chain(*(
        both_percentiles(one.analysed[one.analysed["endpoint"] == endpoint], percentiles)[1]
        for one in analyses.values() for endpoint in _endpoints(one)
    ))  # fmt: skip
    totals = [sum(parts.values()) for _, parts, _ in rows]
    longest = max(totals, default=1)
    figure = go.Figure()
    for cause in in_order(chain(*(parts for _, parts, _ in rows))):
        amounts = [parts.get(cause, 0) for _, parts, _ in rows]
        _stack(figure, cause, labels, amounts, [who.get(cause, "") for *_, who in rows], longest)
    for label, total, inner in zip(labels, totals, handler_ns, strict=True):
        said = both({"wall_ns": total, "handler_ns": inner})
        figure.add_annotation(x=total / 1e6, y=label, text=f" {said}", showarrow=False, xanchor="left")
    return styled(
        figure, "Where the time went", height=170 + 62 * len(rows), barmode="stack",
        xaxis={"title": "ms per request", "range": [0, 1.12 * longest / 1e6]}, yaxis={"autorange": "reversed"}, bargap=0.28,
    )  # fmt: skip


def _endpoints(analysis: Analysis) -> list[str]:
    sums = analysis.analysed.groupby("endpoint")["wall_ns"].sum().sort_values(ascending=False)
    return [str(one) for one in sums.index[:ENDPOINTS]]


def _divided(analysis: Analysis, endpoint: str, percentile: float) -> dict[str, int]:
    amounts = composition(sample_of_endpoint(analysis, endpoint), percentile)
    return {str(cause): ns for cause, ns in zip(CAUSES, amounts, strict=True) if ns}


def _who(culprits: pd.DataFrame, by: list[str]) -> dict[Any, str]:
    """Return who caused most, by these columns, where that is known."""
    sums = culprits[culprits["culprit"] != ""].groupby([*by, "culprit"], observed=True)["ns"].sum()
    found = sums.sort_values().reset_index().drop_duplicates(by, keep="last")
    keys = found[by[0]] if len(by) == 1 else zip(*(found[one] for one in by), strict=True)
    return dict(zip(keys, found["culprit"], strict=True))


def _stack(figure: go.Figure, cause: str, labels: list[str], amounts: list[int], who: list[str], longest: int) -> None:
    """Add a cause's part to each bar; a part that has room for it says who caused it."""
    by = [f" by {escaped(one)}" if one else "" for one in who]
    figure.add_bar(
        y=labels, x=np.array(amounts) / 1e6, orientation="h", name=cause, marker_color=colour(cause),
        text=[escaped(one, 32) if ns > ROOM * longest else "" for ns, one in zip(amounts, who, strict=True)],
        textposition="inside", insidetextanchor="start", textangle=0,
        customdata=[f"{amount(ns)}{name}" for ns, name in zip(amounts, by, strict=True)],
        hovertemplate=f"%{{y}}<br>{cause} %{{customdata}}<extra></extra>",
    )  # fmt: skip


def collection(analysis: Analysis) -> go.Figure:
    """Return a figure of the requests with the longest delay between a job's end and its collection, by cause."""
    rows = collect_delay(analysis)
    totals = rows.groupby("request_id")["amount_ns"].sum().sort_values(ascending=False).head(SHOWN)
    totals = totals[totals >= LEAST_SHARE * totals.max()]
    endpoints = rows.drop_duplicates("request_id").set_index("request_id")["endpoint"]
    labels = {one: f"{escaped(endpoints[one], 40)} · {one[:6]}" for one in totals.index}
    shown = rows[rows["request_id"].isin(totals.index)]
    sums = shown.groupby(["cause", "request_id"])["amount_ns"].sum()
    who = _who(shown.rename(columns={"amount_ns": "ns"}), ["cause", "request_id"])
    figure = go.Figure()
    for cause in in_order(sums.index.get_level_values("cause")):
        own = sums[cause].reindex(totals.index, fill_value=0)
        names = [who.get((cause, one), "") for one in own.index]
        _stack(figure, cause, own.index.map(labels).to_list(), own.to_list(), names, int(totals.max()))
    worst = amount(float(totals.max())) if len(totals) else "none"
    return styled(
        figure, f"Finished, not yet collected: up to {worst}, and why", height=180 + 30 * len(totals),
        barmode="stack", xaxis={"title": "ms from the job's end until its waiter continues"},
        yaxis={"autorange": "reversed"}, bargap=0.25,
    )  # fmt: skip
