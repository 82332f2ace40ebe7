"""Causes over load."""

from collections.abc import Mapping

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from whywait.analysis.figures.look import TEXT, colour, escaped, in_order, styled
from whywait.analysis.measure.causes_by_load import causes_by_load
from whywait.analysis.model import Analysis
from whywait.analysis.text import amount, counted

LEAST_SHARE = 0.01  # of the time at some level, from which a cause is drawn


def causes_over_load(analyses: Mapping[str, Analysis]) -> go.Figure:
    """Return two panels: the causes of a request's time at each number of requests open at its arrival, itself
    included."""
    tables = {name: causes_by_load(analysis) for name, analysis in analyses.items()}
    figure = make_subplots(
        1, max(len(tables), 1), shared_yaxes=True, subplot_titles=[escaped(name) for name in tables],
        horizontal_spacing=0.04,
    )  # fmt: skip
    drawn: set[str] = set()
    for column, table in enumerate(tables.values(), start=1):
        totals = table.groupby("in_flight")["mean_ns"].sum()
        share = table["mean_ns"] / table["in_flight"].map(totals).clip(lower=1)
        for cause in in_order(table.loc[share >= LEAST_SHARE, "cause"]):
            rows = table[table["cause"] == cause].sort_values("in_flight")
            levels = [
                f"{low}" if low == high else f"{low}–{high}"
                for low, high in zip(rows["low"], rows["high"], strict=True)
            ]
            words = [
                f"{level} open, {counted(count, 'request')}<br>{cause}: mean {amount(mean)}, p95 {amount(p95)}"
                for level, count, mean, p95 in zip(
                    levels, rows["requests"], rows["mean_ns"], rows["p95_ns"], strict=True
                )
            ]
            figure.add_bar(
                x=levels, y=rows["mean_ns"] / 1e6, name=cause, legendgroup=cause, showlegend=cause not in drawn,
                marker_color=colour(cause), customdata=words, hovertemplate="%{customdata}<extra></extra>",
                row=1, col=column,
            )  # fmt: skip
            drawn.add(cause)
        figure.update_xaxes(title="requests open at its arrival", type="category", row=1, col=column)
    figure.update_annotations(font={"color": TEXT, "size": 14})
    return styled(figure, "What a request waits for, by load", height=440, barmode="stack", bargap=0.2,
                  yaxis={"title": "ms per request, mean"})  # fmt: skip
