"""Who delayed whom, as a matrix."""

import pandas as pd
import plotly.graph_objects as go

from whywait.analysis.causes import NO_CULPRIT
from whywait.analysis.figures.look import TEXT, escaped, styled
from whywait.analysis.grouped import columns
from whywait.analysis.measure.weights import weighted
from whywait.analysis.model import Analysis
from whywait.analysis.text import amount, counted, place

SHOWN = 10


def culprits_and_victims(analysis: Analysis) -> go.Figure:
    """Return a matrix of the worst culprits and the endpoints they delayed: total ms, and how many requests."""
    named = weighted(analysis.culprits, "ns")
    named = named[(named["culprit"] != "") & ~named["cause"].isin(NO_CULPRIT)]
    keys = ["cause", "culprit", "culprit_file"]
    worst = named.groupby(keys)["ns"].sum().sort_values(ascending=False).head(SHOWN)
    victims = list(named.groupby("endpoint")["ns"].sum().sort_values(ascending=False).index)
    cells = columns(named.groupby([*keys, "endpoint"]), ns=("ns", "sum"), requests=("request_id", "nunique"))
    by_line = named.groupby([*keys, "culprit_line"], dropna=False)["ns"].sum().reset_index()
    line = by_line.sort_values("ns").drop_duplicates(keys, keep="last").set_index(keys)["culprit_line"]
    labels, amounts, words = [], [], []
    for key in worst.index:
        at = line[key]
        where = place(key[2], None if pd.isna(at) else int(at))
        labels.append(f"{escaped(key[1], 44)}<br><sup>{escaped(where)}{' · ' if where else ''}{key[0]}</sup>")
        row = cells.loc[key].reindex(victims)  # those whom it did not delay: not a number
        amounts.append(list(row["ns"] / 1e6))
        words.append([_words(ns, requests) for ns, requests in zip(row["ns"], row["requests"], strict=True)])
    figure = go.Figure(
        go.Heatmap(
            z=amounts, x=[escaped(one, 40) for one in victims], y=labels, text=words, texttemplate="%{text}",
            colorscale=[[0, "rgba(209,73,91,0.08)"], [1, "rgba(209,73,91,0.42)"]], showscale=False, xgap=3, ygap=3,
            hovertemplate="%{y}<br>delayed %{x}<br>%{text}<extra></extra>", hoverongaps=False, textfont={"color": TEXT},
        )
    )  # fmt: skip
    return styled(
        figure, "Who delayed whom", height=150 + 48 * len(labels), yaxis={"autorange": "reversed", "showgrid": False},
        xaxis={"side": "top", "showgrid": False}, margin={"l": 16, "r": 24, "t": 96, "b": 16},
    )  # fmt: skip


def _words(ns: float, requests: float) -> str:
    return "" if pd.isna(ns) else f"{amount(ns)}<br>{counted(requests, 'request')}"
