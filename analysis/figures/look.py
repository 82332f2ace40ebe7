"""The common style of all figures, for light and dark pages."""

from collections.abc import Iterable
from typing import Any, Final

import plotly.graph_objects as go

from whywait.analysis.causes import CAUSES
from whywait.analysis.report.colours import COLOURS
from whywait.analysis.text import safe

TEXT: Final = "#7d7d7d"  # equal contrast with white and with a dark page's black
GRID: Final = "rgba(128,128,128,0.22)"
OTHERS: Final = "#9aa4ae"  # work for other requests
OWN: Final = "#3f7d58"
WORSE: Final = "#d1495b"
BETTER: Final = "#3f9d6e"
_CLEAR: Final = "rgba(0,0,0,0)"
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', sans-serif"


def colour(cause: str) -> str:
    return COLOURS[cause][0]


def in_order(causes: Iterable[str]) -> list[str]:
    """Return the causes in their fixed order, so that every figure stacks them in the same order."""
    known = set(causes)
    return [str(cause) for cause in CAUSES if cause in known]


def styled(figure: go.Figure, title: str, *, height: int, **layout: Any) -> go.Figure:
    """Return the figure with a title, a clear background and readable grey text."""
    axes = {"gridcolor": GRID, "linecolor": GRID, "zerolinecolor": GRID, "tickfont": {"color": TEXT}}
    figure.update_layout(
        template="none",
        paper_bgcolor=_CLEAR,
        plot_bgcolor=_CLEAR,
        font={"family": _FONT, "size": 13, "color": TEXT},
        title=dict(text=title, x=0, xanchor="left", xref="container", pad={"l": 8}, font={"size": 16}),  # noqa: C408
        height=height,
        margin={"l": 16, "r": 24, "t": 64, "b": 96},
        hoverlabel={"align": "left", "font": {"size": 12}},
        hovermode="closest",
        legend=dict(  # noqa: C408
            orientation="h",
            yref="container",
            y=0,
            yanchor="bottom",
            x=0,
            traceorder="normal",
            font={"color": TEXT},
            bgcolor=_CLEAR,
        ),
        modebar={"bgcolor": _CLEAR, "color": TEXT, "activecolor": OWN},
    )
    figure.update_xaxes(automargin=True, title_standoff=8, **axes)
    figure.update_yaxes(automargin=True, **axes)
    return figure.update_layout(**layout)


def escaped(text: object, limit: int = 80) -> str:
    """Return trace content escaped for a label: plotly interprets a few HTML tags, and a trace may contain some."""
    words = safe(" ".join(str(text).split()), limit)
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
