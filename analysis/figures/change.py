"""What changed between two runs, as a waterfall from before to after."""

import plotly.graph_objects as go

from whywait.analysis.changes.comparison import Comparison
from whywait.analysis.errors import InputError
from whywait.analysis.figures.look import BETTER, GRID, TEXT, WORSE, escaped, styled
from whywait.analysis.text import amount, signed

SHOWN = 7


def change(comparison: Comparison, endpoint: str | None = None) -> go.Figure:
    """Return a waterfall of one endpoint: its percentile before and after, and the causes between. They add up exactly.

    By default the endpoint that changed most. Raises InputError when the endpoint was not compared.
    """
    chosen = [one for one in comparison.changes if endpoint in (None, one.endpoint)]
    if not chosen:
        raise InputError(f"endpoint {endpoint!r} was not compared; {len(comparison.changes)} others were")
    one = chosen[0]
    shown, rest = one.causes[:SHOWN], one.causes[SHOWN:]
    steps = [(str(part.cause), part.delta_ns, part.certain) for part in shown if part.delta_ns]
    if rest:
        steps.append((f"{len(rest)} more", sum(part.delta_ns for part in rest), False))
    names = ["before", *(name for name, _, _ in steps), "after"]
    figure = go.Figure(
        go.Waterfall(
            x=names,
            y=[one.before_ns / 1e6, *(ns / 1e6 for _, ns, _ in steps), one.after_ns / 1e6],
            measure=["absolute", *("relative" for _ in steps), "total"],
            text=[amount(one.before_ns), *(f"{signed(ns)} ms" for _, ns, _ in steps), amount(one.after_ns)],
            textposition="outside", cliponaxis=False, hovertemplate="%{x}<br>%{text}<extra></extra>",
            increasing={"marker": {"color": WORSE}}, decreasing={"marker": {"color": BETTER}},
            totals={"marker": {"color": TEXT}}, connector={"line": {"color": GRID}},
        )
    )  # fmt: skip
    sure = "" if one.certain else " (may be chance)"
    title = f"{escaped(one.endpoint)}: p{comparison.percentile:g} {signed(one.delta_ns)} ms{sure}"
    return styled(
        figure,
        title,
        height=400,
        showlegend=False,
        margin={"l": 16, "r": 24, "t": 72, "b": 40},
        yaxis={"title": "ms", "rangemode": "tozero"},
    )
