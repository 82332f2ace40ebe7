"""Requests that had not ended when they were recorded: how long they were open, and where most of that time went."""

import pandas as pd

from whywait.analysis.causes import Cause
from whywait.analysis.model import Finding
from whywait.analysis.text import amount, counted, in_brackets, place


def unfinished(requests: pd.DataFrame, causes: pd.DataFrame) -> list[Finding]:
    """Return a finding for each endpoint with such requests, those that were open longest first."""
    own = requests[requests["unfinished"]].sort_values("wall_ns", ascending=False)
    return [_of(str(name), rows, causes) for name, rows in own.groupby("endpoint", sort=False)]


def _of(endpoint: str, requests: pd.DataFrame, causes: pd.DataFrame) -> Finding:
    least, most = amount(int(requests["wall_ns"].min())), amount(int(requests["wall_ns"].max()))
    said = f"{counted(len(requests), 'request')} of {endpoint} never ended, open for {least}" + f" to {most}" * (
        least != most
    )
    rows = causes[causes["request_id"].isin(requests["request_id"])].fillna({"culprit_line": 0})
    keys = ["cause", "detail", "culprit", "culprit_file", "culprit_line"]
    sums = rows.groupby(keys, as_index=False).agg(amount_ns=("amount_ns", "sum")).to_dict("records")
    for row in sorted(sums, key=lambda one: -one["amount_ns"])[:1]:
        cause, share = Cause(row["cause"]), row["amount_ns"] / max(int(requests["wall_ns"].sum()), 1)
        who = f", {cause.info.by} {row['culprit']}{in_brackets(place(row['culprit_file'], row['culprit_line']))}"
        who *= bool(row["culprit"]) and cause.info.says_culprit
        said += f", {share:.0%} of it {cause.info.phrase}: {row['detail']}{who}"
    return Finding("unfinished", said, len(requests), tuple(map(str, requests["trace_id"].head(10))))
