"""Stacked bars: the causes of requests' time, and of their collection delay."""

from collections.abc import Mapping
from itertools import chain

import numpy as np
import plotly.graph_objects as go

from whywait.analysis.causes import CAUSES
from whywait.analysis.figures.look import colour, escaped, in_order, styled
from whywait.analysis.measure.felt import both, both_percentiles
from whywait.analysis.measure.job_times import collect_delay
from whywait.analysis.measure.percentile_composition import composition, sample_of
from whywait.analysis.model import Analysis
from whywait.analysis.text import amount

SHOWN = 20
LEAST_SHARE = 0.01  # of the longest delay: shorter ones would be invisible


def where_time_went(analyses: Mapping[str, Analysis], percentiles: tuple[float, ...] = (50, 95)) -> go.Figure:
    """Return one bar per name and percentile of wall time, divided among causes to the nanosecond."""
    rows = [
        (f"{escaped(name)}<br>p{percentile:g}", _divided(analysis, percentile))
        for name, analysis in analyses.items()
        for percentile in percentiles
    ]
    labels = [label for label, _ in rows]
    handler_ns = chain(*(both_percentiles(one.analysed, percentiles)[1] for one in analyses.values()))
    figure = go.Figure()
    for cause in in_order(chain(*(parts for _, parts in rows))):
        amounts = [parts.get(cause, 0) for _, parts in rows]
        figure.add_bar(
            y=labels, x=np.array(amounts) / 1e6, orientation="h", name=cause, marker_color=colour(cause),
            customdata=list(map(amount, amounts)), hovertemplate=f"%{{y}}<br>{cause} %{{customdata}}<extra></extra>",
        )  # fmt: skip
    totals = [sum(parts.values()) for _, parts in rows]
    longest = max(totals, default=1)
    for label, total, inner in zip(labels, totals, handler_ns, strict=True):
        said = both({"wall_ns": total, "handler_ns": inner})
        figure.add_annotation(x=total / 1e6, y=label, text=f" {said}", showarrow=False, xanchor="left")
    return styled(
        figure, "Where the time went", height=170 + 52 * len(rows), barmode="stack",
        xaxis={"title": "ms per request", "range": [0, 1.12 * longest / 1e6]}, yaxis={"autorange": "reversed"}, bargap=0.28,
    )  # fmt: skip


def _divided(analysis: Analysis, percentile: float) -> dict[str, int]:
    amounts = composition(sample_of(analysis.requests, analysis.causes), percentile)
    return {str(cause): ns for cause, ns in zip(CAUSES, amounts, strict=True) if ns}


def collection(analysis: Analysis) -> go.Figure:
    """Return a figure of the requests with the longest delay between a job's end and its collection, by cause."""
    rows = collect_delay(analysis)
    totals = rows.groupby("request_id")["amount_ns"].sum().sort_values(ascending=False).head(SHOWN)
    totals = totals[totals >= LEAST_SHARE * totals.max()]
    endpoints = rows.drop_duplicates("request_id").set_index("request_id")["endpoint"]
    labels = {one: f"{escaped(endpoints[one], 40)} · {one[:6]}" for one in totals.index}
    shown = rows[rows["request_id"].isin(totals.index)]
    sums = shown.groupby(["cause", "request_id"])["amount_ns"].sum()
    chief = shown.sort_values("amount_ns").drop_duplicates(["cause", "request_id"], keep="last")
    who = {(row.cause, row.request_id): row.culprit for row in chief.itertuples()}
    figure = go.Figure()
    for cause in in_order(sums.index.get_level_values("cause")):
        own = sums[cause].reindex(totals.index, fill_value=0)
        by = [f" by {escaped(who[cause, one])}" if who.get((cause, one)) else "" for one in own.index]
        figure.add_bar(
            y=own.index.map(labels).to_list(), x=own.to_numpy() / 1e6, orientation="h", name=cause,
            marker_color=colour(cause),
            customdata=[f"{amount(ns)}{name}" for ns, name in zip(own, by, strict=True)],
            hovertemplate=f"%{{y}}<br>{cause} %{{customdata}}<extra></extra>",
        )  # fmt: skip
    worst = amount(float(totals.max())) if len(totals) else "none"
    return styled(
        figure, f"Finished, not yet collected: up to {worst}, and why", height=180 + 30 * len(totals),
        barmode="stack", xaxis={"title": "ms from the job's end until its waiter continues"},
        yaxis={"autorange": "reversed"}, bargap=0.25,
    )  # fmt: skip
