"""Like waits of one request, one after another: awaits that could run together, retries with their pauses, polling,
paced streams.

serial      |--fetch--|--fetch--|--fetch--|--fetch--|       gather leaves the longest
retries     |try|-|try|---|try|-------|try|                 the pauses grow
polling     |?|---|?|---|?|---|?|---|?|                     equal pauses of one `while` loop
paced       |part|---|part|---|part|---|part|               pauses of a loop that sends parts
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from whywait.analysis.causes import Cause
from whywait.analysis.grouped import columns
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import (
    ALIKE,
    GROWS,
    MANY_AWAITS,
    MIN_HELD,
    MOST_OF_ONE,
    SAVES,
    SEVERAL_AWAITS,
)
from whywait.analysis.situations.waits.callers import caller_of
from whywait.analysis.situations.what_helps import ONCE, look_up
from whywait.analysis.spans.awaited import awaits
from whywait.tracer import schema


def repeated_waits(group: Group) -> Iterator[Pattern]:
    """Yield what requests awaited many times in turn, where another order could save a significant time."""
    for cause in (Cause.AWAIT_IO, Cause.BLOCKING_IO):
        own = group.of(cause)
        own = own.loc[[schema.FOR_TURNS not in found for found in group.attributes_of(own)]]
        if own.empty:
            continue
        turns = _turns(_described(group, own), "activity_id", "turn")
        pauses = turns["awaited"].str.match(schema.FOR_SLEEP)
        if pauses.any():
            connects = turns["step"].isin(schema.STEPS_TO_CONNECT)  # who sleeps there tries again
            pauses &= _grow(turns) | turns["package"].str.match(schema.PACKAGE_RETRIES) | connects
        yield from _told(group, cause, Situation.RETRIES, turns[pauses])
        others = ~turns["awaited"].str.match(schema.FOR_STREAM) & ~turns["package"].str.match(schema.PACKAGE_PACES)
        serial = turns[~pauses & others & (turns["step"] != schema.STEP_BODY)]
        alike = _alike(serial[(serial["times"] > 1) | (serial["step"] == schema.STEP_PAUSE)])
        by_series = alike.groupby("series")["ns"]
        sizes, longest, sums = (
            by_series.transform(how) if len(alike) else alike["ns"] for how in ("size", "max", "sum")
        )
        polls, paces = (alike["step"] == step for step in (schema.STEP_PAUSE, schema.STEP_PACE))
        # the loop says it: two pauses are enough, and one where the loop is a library's
        yield from _told(group, cause, Situation.POLLING, alike[(sizes > (alike["package"] == "")) & polls])
        yield from _told(group, cause, Situation.PACED, alike[(sizes >= MANY_AWAITS) & paces])
        several = (sizes >= SEVERAL_AWAITS) & (longest <= ALIKE * sums) & ~alike["awaited"].str.match(schema.FOR_SLEEP)
        alike = alike[((sizes >= MANY_AWAITS) | several) & ~polls & ~paces]
        if cause is Cause.BLOCKING_IO:
            alike = _of_jobs(group, own)
        told = list(_told(group, cause, Situation.SERIAL_AWAITS, alike))
        yield from told or _told(group, cause, Situation.SERIAL_AWAITS, _of_packages(serial[serial["step"] == ""]))


def _grow(turns: pd.DataFrame) -> "pd.Series[bool]":
    """Whether such pauses grow, from each to the next: in most of the time of series of several. Of these places, one that
    came alone, and where they stop growing, is the same thing."""
    grown = (turns["ns"] / turns.groupby("series")["ns"].shift()).fillna(GROWS)
    grows = (grown.groupby(turns["series"]).transform("min") >= GROWS) & (turns["times"] > 1)
    by_place = ((turns["ns"] * one).groupby(turns["what"]).transform("sum") for one in (grows, turns["times"] > 1))
    grown_ns, several_ns = by_place
    return (grown_ns > 0) & (grown_ns >= MIN_HELD * several_ns)


def _of_jobs(group: Group, own: pd.DataFrame) -> pd.DataFrame:
    """Return the turns of jobs of one function: of these, two are enough."""
    jobs = own[group.kinds_of(own) == schema.KIND_JOB]
    if not jobs.duplicated(["request_id", "activity_name"]).any():
        return jobs[:0]
    jobs = jobs[~jobs["activity_name"].str.match(schema.FOR_STEP_OF_GENERATOR)]
    jobs = jobs.assign(what=jobs["activity_name"], awaited=jobs["activity_name"], step="", package="", leaf="")
    alike = _alike(_turns(jobs, "activity_name", "activity_id"))
    return alike[alike.groupby("series")["ns"].transform("size") > 1]


def _of_packages(turns: pd.DataFrame) -> pd.DataFrame:
    """Return the turns of one library by whatever calls of it, where there are many: round trips, each for another thing."""
    own = turns[turns["package"] != ""]
    if len(own) < MANY_AWAITS:
        return own.head(0)
    series = own.groupby(["request_id", "package"])
    own = own.assign(series=series.ngroup(), what=own["package"] + ", by several calls", awaited="")
    alike = _alike(own)
    return alike[alike.groupby("series")["ns"].transform("size") >= MANY_AWAITS]


def _alike(turns: pd.DataFrame) -> pd.DataFrame:
    """Return those that are not much shorter than half of their series, where no single one has nearly all of its time."""
    if turns.empty:
        return turns
    like = turns[turns["ns"] >= ALIKE * turns.groupby("series")["ns"].transform("median")]
    series = like.groupby("series")["ns"]
    one_has_all = series.transform("max") > MOST_OF_ONE * series.transform("sum")
    return like[~one_has_all | (series.transform("size") == 1)]


def _described(group: Group, own: pd.DataFrame) -> pd.DataFrame:
    attributes = group.attributes_of(own)
    step, package = ([str(one.get(key) or "") for one in attributes] for key in (schema.FOR_STEP, schema.FOR_PACKAGE))
    awaited = [_awaited(one) for one in attributes]
    by = [f", called by {one}" if one else "" for one in caller_of(group, own)]
    own = own.assign(
        what=own["detail"] + pd.Series(by, own.index, dtype=object), awaited=awaited, step=step, package=package
    )
    goes_on = pd.Series([_goes_on(one) for one in attributes], own.index, dtype=bool)
    own = own.assign(leaf=[str(one.get(schema.FOR) or "") for one in attributes])
    return own.assign(turn=own["span_id"].where(~goes_on)).assign(turn=_ends)


def _goes_on(attributes: Mapping[str, Any]) -> bool:
    return awaits(attributes, schema.FOR_SLICED) and attributes.get(schema.WAKER_KIND) == schema.WAKER_TIMER


def _ends(own: pd.DataFrame) -> "pd.Series[Any]":
    """Of each row the wait that ends its turn: a call may wait in slices."""
    by_time = own.sort_values("start_ns")
    return by_time["turn"].groupby(by_time["activity_id"]).bfill().fillna(by_time["span_id"])


def _awaited(attributes: Mapping[str, Any]) -> str:
    """Return what the user's code called: an HTTP client's `get` reads a stream inside, and is none."""
    inner = str(attributes.get(schema.FOR) or "")
    return inner if awaits(attributes, schema.FOR_SLEEP) else str(attributes.get(schema.FOR_CALL) or inner)


def _turns(rows: pd.DataFrame, doer: str, turn: str) -> pd.DataFrame:
    """Return one row per turn, in order of time; `series` numbers those of one request, doer and thing awaited."""
    found = columns(
        rows.groupby(["request_id", doer, "what", turn], sort=False),
        ns=("amount_ns", "sum"), start_ns=("start_ns", "min"), awaited=("awaited", "first"), weight=("weight", "first"),
        step=("step", "first"), package=("package", "first"), leaf=("leaf", "first"),
    ).reset_index().sort_values("start_ns")  # fmt: skip
    series = list(zip(found["request_id"], found[doer], found["what"], strict=True))
    times, numbers = Counter(series), {one: number for number, one in enumerate(dict.fromkeys(series))}
    return found.assign(series=[numbers[one] for one in series], times=[times[one] for one in series])


def _in_steps(turns: pd.DataFrame) -> "pd.Series[bool]":
    """Whether a series is what few calls do inside, one thing after another: hardly any of it comes twice."""
    by_leaf = turns.groupby(["series", "leaf"])["ns"].transform("size").groupby(turns["series"]).transform("max")
    return (by_leaf < MANY_AWAITS) & (turns.groupby("series")["leaf"].transform("nunique") >= SEVERAL_AWAITS)


def _told(group: Group, cause: Cause, kind: Situation, turns: pd.DataFrame) -> Iterator[Pattern]:
    if turns.empty:
        return
    by_series = columns(
        turns.groupby(["series", "what"]), times=("weight", "sum"), mean_ns=("ns", "sum"), longest_ns=("ns", "max")
    ).reset_index()
    steps = np.where(_in_steps(turns), " in steps", "")
    asked = (turns["package"] + "." + turns["awaited"] + steps).groupby(turns["what"]).first()
    of_all = by_series.groupby("what")[["times", "mean_ns", "longest_ns"]].sum() / group.count
    saved = of_all["mean_ns"] - of_all["longest_ns"] * (kind is Situation.SERIAL_AWAITS)
    few = (kind is Situation.SERIAL_AWAITS) & (of_all["times"] < MANY_AWAITS)
    for what in saved[saved >= group.least_ns + few * SAVES * group.mean_wall_ns].nlargest(1).index:
        name = str(what).removeprefix(schema.JOB_SPAN_PREFIX)
        sums = {str(key): float(ns) for key, ns in of_all.loc[what].items()}
        sums["longest_ns"] = float(by_series.loc[by_series["what"] == what, "longest_ns"].mean())
        yield Pattern(kind, cause, {"what": name, "once": look_up(ONCE, asked[what]), **sums})
