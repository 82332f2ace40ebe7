"""One request and its surroundings, as lanes over time."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from whywait.analysis.figures.look import OTHERS, OWN, colour, escaped, in_order, styled
from whywait.analysis.measure.felt import both
from whywait.analysis.measure.request_surroundings import LOOP_LANE, Scene, scene
from whywait.analysis.model import Analysis
from whywait.analysis.text import amount

MOST_WORKERS = 12
LABEL_SHARE = 0.07  # of the request, from which a stretch has its cause written on it
WHO_SHARE = 0.3  # and for the culprit, too
PATH = "critical path"


def request_timeline(analysis: Analysis, request_id: str | None = None) -> go.Figure:
    """Return a request (by request or trace id, default the slowest) as lanes: critical path, loop, workers, and
    strips that count threads on CPU, in the run queue and waiting for the GIL. Raises InputError when there is
    none."""
    found = scene(analysis, request_id)
    lanes = list(dict.fromkeys(found.workers["lane"]))[:MOST_WORKERS]
    figure = make_subplots(
        3, 1, shared_xaxes=True, vertical_spacing=0.035, row_heights=[0.62 + 0.04 * len(lanes), 0.16, 0.16]
    )
    _path(figure, found)
    _work(figure, found.loop, [LOOP_LANE])
    _work(figure, found.workers, lanes)
    _strips(figure, found)
    request = found.request
    order = [PATH, LOOP_LANE, *lanes]
    figure.update_yaxes(categoryorder="array", categoryarray=order, autorange="reversed", row=1, col=1, showgrid=False)
    figure.update_yaxes(title="threads:<br>GIL", rangemode="tozero", nticks=3, row=2, col=1)
    figure.update_yaxes(title="threads:<br>CPU", rangemode="tozero", nticks=3, row=3, col=1)
    figure.update_xaxes(range=[0, found.wall_ns / 1e6])
    figure.update_xaxes(title="ms since the request began", row=3, col=1)
    left_out = found.workers["lane"].nunique() - len(lanes)
    title = f"{escaped(request['endpoint'])}, {both(request)}: what it waited for, and what ran meanwhile"
    if left_out > 0:
        title += f" ({left_out} more workers)"
    return styled(
        figure, title, height=400 + 30 * (len(lanes) + 2), barmode="overlay", bargap=0.15,
    )  # fmt: skip


def _path(figure: go.Figure, found: Scene) -> None:
    for cause in in_order(found.path["cause"]):
        rows = found.path[found.path["cause"] == cause]
        words = [_path_words(row) for row in rows.to_dict("records")]
        labels = [_label(row, found.wall_ns) for row in rows.to_dict("records")]
        lanes, shade = [PATH] * len(rows), colour(cause)
        _bars(figure, rows, lanes, words, name=cause, color=shade, legend=True, labels=labels)


def _label(row: dict[Any, Any], wall_ns: int) -> str:
    share = (row["end_ns"] - row["start_ns"]) / wall_ns
    who = f" by {escaped(row['culprit'], 32)}" if share >= WHO_SHARE and row["culprit"] else ""
    return f"{row['cause']}{who}" if share >= LABEL_SHARE else ""


def _path_words(row: dict[Any, Any]) -> str:
    who = f"<br>by {escaped(row['culprit'])} {escaped(row['place'])}" if row["culprit"] else ""
    return f"{row['cause']} {amount(row['end_ns'] - row['start_ns'])}{who}<br>{escaped(row['detail'])}"


def _work(figure: go.Figure, work: pd.DataFrame, lanes: list[str]) -> None:
    work = work[work["lane"].isin(lanes)]
    for own, name, shade in ((True, "its own work", OWN), (False, "work for others", OTHERS)):
        rows = work[work["own"] == own]
        words = [
            f"{escaped(row['name'])} {amount(row['end_ns'] - row['start_ns'])}<br>{escaped(row['place'])}"
            f"<br>{'this request' if own else 'of trace ' + row['trace_id'][:8]}"
            for row in rows.to_dict("records")
        ]
        shown = any(trace.name == name for trace in figure.data)
        _bars(figure, rows, list(rows["lane"]), words, name=name, color=shade, legend=not shown)


def _bars(
    figure: go.Figure, rows: pd.DataFrame, lanes: list[str], words: list[str], *, name: str, color: str, legend: bool,
    labels: list[str] | None = None,
) -> None:  # fmt: skip
    if rows.empty:
        return
    figure.add_bar(
        text=labels, textposition="inside", insidetextanchor="middle", textangle=0, textfont={"color": "#fff"},
        x=(rows["end_ns"] - rows["start_ns"]) / 1e6, base=rows["start_ns"] / 1e6, y=lanes, orientation="h", name=name,
        legendgroup=name, showlegend=legend, marker={"color": color, "line": {"width": 0}}, customdata=words,
        hovertemplate="%{customdata}<extra></extra>", row=1, col=1,
    )  # fmt: skip


def _strips(figure: go.Figure, found: Scene) -> None:
    middle = (found.strips["start_ns"] + found.strips["end_ns"]) / 2e6
    for row, column, cause, said in (
        (2, "gil_wait", "gil_wait", "threads waiting for the GIL"),
        (3, "on_cpu", "compute", "threads on CPU"),
        (3, "cpu_wait", "cpu_wait", "threads waiting for a CPU"),
    ):
        figure.add_scatter(
            x=middle, y=found.strips[column], name=said, mode="lines", line={"width": 0.5, "color": colour(cause), "shape": "hvh"},
            stackgroup=str(row), fillcolor=colour(cause), showlegend=False,
            hovertemplate=f"%{{y:.1f}} {said}<extra></extra>", row=row, col=1,
        )  # fmt: skip
