"""Requests wait for a connection of a pool while others hold all of them: how it is enlarged, and where they are held;
and who waits for another one, or for another worker, while it holds one itself."""

import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_HELD
from whywait.analysis.situations.what_helps import HOLDS_LESS, Use
from whywait.analysis.text import named_at, place
from whywait.tracer.schema import CALLERS, FOR_PACKAGE, OF_WEBSOCKET, PACKAGE_DATABASE, POOL_KNOB, POOL_SIZE, SPAWNED_BY


def holds_one(group: Group) -> Iterator[Pattern]:
    """Yield the pool for whose connections, or workers, most of the time was waited by tasks that held another one of
    it, or for jobs that its own jobs had submitted."""
    for cause, one in ((Cause.CONNECTION_WAIT, "connection"), (Cause.POOL_QUEUE, "worker")):
        waits = group.of(cause)
        if waits.empty:
            continue
        own = group.culprits_of(cause)
        rows = own.merge(
            waits[["request_id", "start_ns", "amount_ns", "activity_id", "detail"]], on=["request_id", "start_ns"]
        )
        who = rows["activity_id"].str.rsplit("/", n=1).str[-1]
        if cause is Cause.POOL_QUEUE:
            who = rows["activity_id"].map(lambda key: group.attributes.get(key, {}).get(SPAWNED_BY, ""))
        holding = rows[(who == rows["culprit_span_id"]) & (who != "")].drop_duplicates(["request_id", "start_ns"])
        if len(holding) and holding["amount_ns"].sum() >= MIN_HELD * waits["amount_ns"].sum():
            chief = holding.nlargest(1, "amount_ns").iloc[0]
            at = f"{chief['culprit']} ({place(chief['culprit_file'], chief['culprit_line'])})"
            found = {"one": one, "pool": chief["detail"], "at": at, "requests": holding["request_id"].nunique()}
            yield Pattern(Situation.HOLDS_ONE, cause, found)


def _in_use(group: Group, waits: pd.DataFrame) -> Use:
    """In what those who had the connections were for most of the time: a database's call, one of the pool's own library, or
    something else."""
    own = group.behind(Cause.CONNECTION_WAIT)
    own = own[own["did"] != ""]
    (longest,) = group.attributes_of(waits.nlargest(1, "amount_ns"))
    asked = [_library(group.attributes.get(str(at), {})) for at in own["at"]]
    least_ns = max(MIN_HELD * own["ns"].sum(), 1)
    if own.loc[[re.match(PACKAGE_DATABASE, one) is not None for one in asked], "ns"].sum() >= least_ns:
        return Use.DATABASE
    used = [one == _library(longest) != "" for one in asked]
    return Use.CLIENT if own.loc[used, "ns"].sum() >= least_ns else Use.OTHER


def _library(attributes: dict[str, Any]) -> str:
    """The client's library: "psycopg", also of its pool."""
    return str(attributes.get(FOR_PACKAGE) or "").removesuffix("_pool")


def _callers(group: Group, function: str, file: str) -> list[str]:
    """Who called the function in which the connections were held, the nearest first: it need not be what acquired them."""
    every = group.holders.all
    there = every[(every["stood"] == function) & (every["stood_file"] == file)]
    known = (group.attributes.get(str(at), {}).get(CALLERS) for at in there.sort_values("ns", ascending=False)["at"])
    return next((list(map(str, one)) for one in known if isinstance(one, list)), [])


def connections_held(group: Group) -> Iterator[Pattern]:
    """Yield the pool that these requests wait for longest, and the code that holds its connections."""
    waits = group.of(Cause.CONNECTION_WAIT)
    named = group.culprits_of(Cause.CONNECTION_WAIT)
    if waits.empty:
        return
    found = pd.DataFrame(group.attributes_of(waits), index=waits.index).reindex(columns=[POOL_KNOB, POOL_SIZE])
    by_pool = waits["amount_ns"].groupby([found[POOL_KNOB], found[POOL_SIZE]]).sum()
    if by_pool.empty or named.empty:
        return
    pool: Any = by_pool.idxmax()
    by_place = named.fillna({"culprit_line": 0}).groupby(["culprit", "culprit_file", "culprit_line"])["ns"].sum()
    at: Any = by_place.idxmax()
    holder = named_at(at[0], at[1], int(at[2]))
    share = float(by_place.max()) / max(int(waits["amount_ns"].sum()), 1)
    chief = named[(named["culprit"] == at[0]) & (named["culprit_file"] == at[1])]
    held_by = group.spans.of(chief["culprit_trace_id"])
    over = chief["culprit_trace_id"].map(held_by.groupby("trace_id")["end_ns"].max()) < chief["start_ns"]
    kept = chief.loc[over, "ns"].sum() >= MIN_HELD * waits["amount_ns"].sum()
    sockets = held_by.loc[held_by["name"].str.match(OF_WEBSOCKET), "trace_id"]
    in_use = Use.WEBSOCKET if kept and chief["culprit_trace_id"].isin(sockets).all() else _in_use(group, waits)
    less = HOLDS_LESS[in_use]
    if chief["culprit_trace_id"].eq("").all():
        less += "; as no request waits for that work, give it a pool of its own, or let fewer of it run at once"
    said = {"knob": str(pool[0]), "size": int(pool[1]), "holder": holder, "share": share, "less": less}
    callers = ", ".join(_callers(group, at[0], at[1]))
    said["called"] = f"A connection is held in {holder}, or by who called it: {callers}." * bool(callers)
    yield Pattern(
        Situation.HELD_AFTERWARDS if kept and in_use is not Use.WEBSOCKET else Situation.CONNECTIONS_HELD, None, said
    )
