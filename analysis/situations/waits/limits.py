"""Limits of rate and of time: those that made requests wait, that ended what they waited for, or that had no effect.

no effect   |--limit--|                  around a job in a thread, which nothing can end
            |~~~~~~~~~~job~~~~~~~~~~|    its caller waits until it has returned
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.attribution.culprit_names import is_users
from whywait.analysis.causes import Cause
from whywait.analysis.model import attribute
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_HELD, MIN_MEAN_NS
from whywait.analysis.situations.what_helps import CHILD, stands_in
from whywait.analysis.spans.awaited import awaits, is_called_later, is_limit, is_paced
from whywait.analysis.text import place
from whywait.tracer import schema

_AT_ONCE_NS: Final = 10_000
_LIMITED: Final = (Cause.AWAIT_IO, Cause.LIMITER_WAIT, Cause.LOCK_WAIT, Cause.CONNECTION_WAIT)


def rate_limits(group: Group) -> Iterator[Pattern]:
    """Yield the rate limiter that made requests wait for most of a cause's time."""
    for cause in group.significant_of(*_LIMITED):
        paced = group.most_of(cause, is_paced)
        if len(paced):
            (at,) = group.attributes_of(paced.nlargest(1, "amount_ns"))
            where = f"{at.get(schema.FOR_CALL)} in {at.get(schema.CODE_FUNCTION)}"
            limiter = f"{where} ({place(at.get(schema.CODE_FILE), at.get(schema.CODE_LINE))})"
            mean_ns = float(paced["amount_ns"].sum()) / group.count
            yield Pattern(Situation.RATE_LIMIT, cause, {"limiter": limiter, "mean_ns": mean_ns})


def time_limits(group: Group) -> Iterator[Pattern]:
    """Yield for each cause the time limits that ended most of its time: what was waited for did not come, or a task that
    serves requests lets time pass to collect more of them."""
    if not (causes := group.significant_of(*_LIMITED)):
        return
    spans = group.own_spans
    fired = {*attribute(spans[attribute(spans, schema.WAKER_KIND) == schema.WAKER_TIMER], schema.ACTIVITY)}
    for cause in causes:
        own = group.of(cause)
        tasks = [group.attributes.get(key, {}) for key in own["activity_id"]]
        limited = [
            is_limit(found) or (task.get(schema.SPAWNED_BY) in fired and _is_cut(found, task))
            for found, task in zip(group.attributes_of(own), tasks, strict=True)
        ]
        ended = own.loc[limited]
        if ended["amount_ns"].sum() >= max(MIN_HELD * own["amount_ns"].sum(), 1):
            (at,) = group.attributes_of(ended.nlargest(1, "amount_ns"))
            where = stands_in(at)
            requests = group.requests[group.requests["request_id"].isin(ended["request_id"])]
            limit_ns = float((ended["end_ns"] - ended["start_ns"]).groupby(ended["span_id"]).sum().mean())
            found = {"where": where, "requests": len(requests), "failed": int(requests["error"].sum())}
            task = str(at.get(schema.FOR_TASK) or "")  # of no request: it collects for several
            is_window = task and not found["failed"] and schema.FOR_CALL not in at
            kind = Situation.WINDOW if is_window else Situation.TIME_LIMIT
            of_them = group.own_spans["trace_id"].isin(ended["trace_id"])  # before Python 3.12 it is another task's
            on_child = any(awaits(one, schema.FOR_CHILD) for one in group.own_spans.loc[of_them, "attributes"])
            said = {"why": f" There, {CHILD}." * on_child, "what": _begun_in(group, ended)}
            yield Pattern(kind, cause, {**found, **said, "task": task, "limit_ns": limit_ns})


def windows(group: Group) -> Iterator[Pattern]:
    """Yield for each cause whether most of it passed until a call that a request had put off (`loop.call_later`) began what it
    goes on to wait for, or what other requests wait for, too: it collects several of them."""
    causes, spans = group.significant_of(Cause.AWAIT_IO, Cause.LIMITER_WAIT), group.own_spans
    waits = spans[attribute(spans, schema.WAIT) == schema.WAIT_AWAIT]
    if not causes or not (by_timer := attribute(waits, schema.WAKER_KIND) == schema.WAKER_TIMER).any():
        return
    begun_ns = waits.sort_values("start_ns").groupby(attribute(waits, schema.ACTIVITY))["start_ns"].shift(-1)
    goes_on = (begun_ns - waits["end_ns"]).abs() <= _AT_ONCE_NS
    shared = waits["trace_id"].isin(attribute(spans, schema.WAKER_TRACE_ID))
    timers = waits[by_timer & (goes_on | shared)]
    timers = timers.loc[[is_called_later(one) for one in timers["attributes"]]]
    for cause in causes if len(timers) else ():
        own, behind = group.most_of(cause, is_called_later), group.behind(cause)
        later = [is_called_later(group.attributes.get(str(at), {})) for at in behind["at"]]
        if len(own) or behind.loc[later, "ns"].sum() >= max(MIN_HELD * behind["ns"].sum(), 1):
            where = stands_in(timers.iloc[0]["attributes"])
            limit_ns = float((timers["end_ns"] - timers["start_ns"]).mean())
            yield Pattern(Situation.WINDOW, cause, {"task": "loop.call_later", "where": where, "limit_ns": limit_ns})


def limits_in_vain(group: Group) -> Iterator[Pattern]:
    """Yield the time limit around jobs in threads that ran on beyond it, and whose callers waited until they had ended."""
    limits = attribute(group.own_spans, schema.LIMIT_NS)
    if not (limited := limits != "").any():
        return
    jobs = group.own_spans[limited].assign(limit_ns=limits[limited].astype(np.int64))
    jobs = jobs.assign(beyond_ns=jobs["end_ns"] - jobs["start_ns"] - jobs["limit_ns"])
    late = jobs[jobs["beyond_ns"] >= MIN_MEAN_NS]
    if late["beyond_ns"].sum() < group.least_ns * len(group.requests):
        return
    longest = late.iloc[int(late["beyond_ns"].argmax())]
    causes = (*group.significant_of(Cause.BLOCKING_IO), None)
    said = {"limit_ns": float(late["limit_ns"].mean()), "beyond_ns": float(late["beyond_ns"].mean())}
    name = stands_in(longest["attributes"]) or str(longest["name"]).removeprefix(schema.JOB_SPAN_PREFIX)
    yield Pattern(Situation.LIMIT_IN_VAIN, causes[0], {"what": name, "times": len(late), **said})


def _begun_in(group: Group, waits: pd.DataFrame) -> str:
    """The function of the tasks that were begun for waits that a time limit ended, between commas; "" where there are none."""
    spans = group.own_spans
    tasks = spans[attribute(spans, schema.KIND) == schema.KIND_TASK].merge(waits, on="trace_id", suffixes=("", "_of"))
    inside = (tasks["start_ns"] - tasks["start_ns_of"]).abs() < MIN_MEAN_NS
    tasks = tasks[inside & (tasks["end_ns"] >= tasks["end_ns_of"]) & (tasks["span_id"] != tasks["activity_id"])]
    users = [one for one in tasks["attributes"] if is_users(str(one.get(schema.CODE_FILE, "")))]
    named = list(map(stands_in, users))
    return f", {max(set(named), key=named.count)}," if named else ""


def _is_cut(attributes: dict[str, Any], task: dict[str, Any]) -> bool:
    """A wait for a limit in a task that who began it cancelled: of a `wait_for` (before Python 3.12) after its time limit, or of
    a server, whose client has gone."""
    by = attributes.get(schema.WAKER_SPAN_ID)
    cut = task.get(schema.OUTCOME) == schema.OUTCOME_CANCELLED and by == task.get(schema.SPAWNED_BY)
    return cut and awaits(attributes, schema.FOR_HELD)
