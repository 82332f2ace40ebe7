"""What changed between two runs, as a waterfall from before to after."""

import plotly.graph_objects as go

from whywait.analysis.changes.comparison import Change, Comparison
from whywait.analysis.errors import InputError
from whywait.analysis.figures.look import BETTER, GRID, TEXT, WORSE, escaped, styled
from whywait.analysis.text import amount, signed

SHOWN = 7


def change(comparison: Comparison, endpoint: str | None = None) -> go.Figure:
    """Return a waterfall of one endpoint, by default the one that changed most; its bars add up exactly. Raises
    InputError when it was not compared."""
    chosen = [one for one in comparison.changes if endpoint in (None, one.endpoint)]
    if not chosen:
        raise InputError(f"endpoint {endpoint!r} was not compared; {len(comparison.changes)} others were")
    one = chosen[0]
    steps = _steps(one)
    figure = go.Figure(
        go.Waterfall(
            x=["before", *(name for name, _ in steps), "after"],
            y=[one.before_ns / 1e6, *(ns / 1e6 for _, ns in steps), one.after_ns / 1e6],
            measure=["absolute", *["relative"] * len(steps), "total"],
            text=[amount(one.before_ns), *(f"{signed(ns)} ms" for _, ns in steps), amount(one.after_ns)],
            textposition="outside", cliponaxis=False, hovertemplate="%{x}<br>%{text}<extra></extra>",
            increasing={"marker": {"color": WORSE}}, decreasing={"marker": {"color": BETTER}},
            totals={"marker": {"color": TEXT}}, connector={"line": {"color": GRID}},
        )
    )  # fmt: skip
    sure = "" if one.certain else " (may be chance)"
    title = f"{escaped(one.endpoint)}: p{comparison.percentile:g} {signed(one.delta_ns)} ms{sure}"
    return styled(
        figure, title, height=400, showlegend=False, margin={"l": 16, "r": 24, "t": 72, "b": 40},
        yaxis={"title": "ms", "rangemode": "tozero"},
    )  # fmt: skip


def _steps(one: Change) -> list[tuple[str, int]]:
    rest = one.causes[SHOWN:]
    steps = [(str(part.cause), part.delta_ns) for part in one.causes[:SHOWN] if part.delta_ns]
    return [*steps, (f"{len(rest)} more", sum(part.delta_ns for part in rest))] if rest else steps
