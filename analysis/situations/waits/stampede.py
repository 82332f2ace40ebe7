"""Stampedes: an entry of a cache expires, and many requests want it again at the same moment.

under a lock   1 |--works under it--|          for itself   1 |--works--|
               2   ~~~~~~~~~~~~~~~~~|                       2  |--works--|
               3      ~~~~~~~~~~~~~~|                       3    |--works--|      4 finds it: |-|
"""

from collections.abc import Iterator
from typing import Final

import pandas as pd

from whywait.analysis.causes import Cause
from whywait.analysis.grouped import columns
from whywait.analysis.model import attribute, identities
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import COLD_FIRST, MANY_AWAITS, MIN_HELD
from whywait.analysis.situations.what_helps import is_lock
from whywait.analysis.text import place
from whywait.tracer import schema

_TOGETHER: Final = 0.1  # of the wait: those that end within so much went on together
_ALL: Final = 0.8  # of those that waited, or began, meanwhile
_OF_WORK: Final = ["request_id", "start_ns", "end_ns", "amount_ns", "cause", "trace_id", "activity_id", "span_id"]
_OF_NOBODY: Final = (schema.WAKER_JOB, schema.WAKER_THREAD, schema.WAKER_UNKNOWN)  # whose work others awaited
_WORK: Final = (Cause.AWAIT_IO, Cause.BLOCKING_IO, Cause.COMPUTE)


def stampedes(group: Group) -> Iterator[Pattern]:
    """Yield the wait that many requests began at different times and ended together, and the work that all requests of
    some moments did, and most others did not."""
    for cause in (Cause.LIMITER_WAIT, Cause.LOCK_WAIT):
        yield from _under_locks(group, cause, group.of(cause))
    culprits = group.culprits[group.culprits["cause"].isin(_WORK) & (group.culprits["culprit_file"] != "")]
    # what most requests did was in no cache
    if len(culprits) >= MANY_AWAITS and MIN_HELD * len(group.requests) >= MANY_AWAITS:
        yield from _for_themselves(group, culprits)


def _under_locks(group: Group, cause: Cause, rows: pd.DataFrame) -> Iterator[Pattern]:
    locks = rows["detail"][list(map(is_lock, group.attributes_of(rows)))].unique()
    if not len(locks) or _held_by_nobodys(group, cause) or _held_by_others(group, cause):
        return
    waits = _by_request(rows, "detail").sort_values("end_ns")
    for what, own in waits[waits["what"].isin(locks)].groupby("what"):
        bursts = [one for one in _bursts(own) if len(one) >= MANY_AWAITS]
        if bursts and sum(one["ns"].sum() for one in bursts) >= MIN_HELD * waits["ns"].sum():
            yield _pattern(group, Situation.STAMPEDE, cause, str(what), own, bursts)


def _for_themselves(group: Group, culprits: pd.DataFrame) -> Iterator[Pattern]:
    at = list(zip(*(culprits[name].tolist() for name in ("culprit", "culprit_file", "culprit_line")), strict=True))
    words = {one: f"{one[0]} ({place(*one[1:])})" for one in set(at)}
    named = culprits[["request_id", "start_ns"]].assign(named=list(map(words.__getitem__, at)))
    rows = group.causes[_OF_WORK].merge(named, on=["request_id", "start_ns"])
    least_ns = group.least_ns * len(group.requests)
    by_work = _by_request(rows, "named")
    by_what = by_work.groupby("what")["ns"]
    # of little work none can be saved: nearly all is neither looked at
    few = (by_what.transform("size") <= MIN_HELD * len(group.requests)) & (by_what.transform("sum") >= least_ns)
    for what, own in by_work[few].sort_values("start_ns").groupby("what"):
        apart = (own["start_ns"] > own["end_ns"].cummax().shift()).cumsum()
        crowds = [one for _, one in own.groupby(apart) if _nobody_else(group.requests, one)]
        saved_ns = sum(one["ns"].sum() - one["ns"].max() for one in crowds)
        if saved_ns >= least_ns and _each_for_itself(group, rows[rows["named"] == what]):
            cause = Cause(str(rows.loc[rows["named"] == what].groupby("cause")["amount_ns"].sum().idxmax()))
            if len(crowds) == 1 and _are_first(group.requests, crowds[0]):
                yield _at_start(group, cause, str(what), crowds[0])
            else:
                yield _pattern(group, Situation.STAMPEDE_WORK, cause, str(what), own, crowds)


def _are_first(requests: pd.DataFrame, crowd: pd.DataFrame) -> bool:
    """Whether the first request is one of these, which are too many for what `cold_start` tells."""
    first = requests.nsmallest(1, "start_ns")["request_id"]
    return bool(first.isin(crowd["request_id"]).all() and len(crowd) > COLD_FIRST * len(requests))


def _at_start(group: Group, cause: Cause, what: str, crowd: pd.DataFrame) -> Pattern:
    """Nothing that has expired: what the first requests do, and no later one."""
    cold, walls = group.requests["request_id"].isin(crowd["request_id"]), group.requests["wall_ns"]
    found = {"requests": len(crowd), "mean_ns": float(walls[cold].mean()), "others_ns": float(walls[~cold].mean())}
    return Pattern(Situation.COLD_START, cause, {**found, "detail": what, "how": ""})


def _each_for_itself(group: Group, work: pd.DataFrame) -> bool:
    """False where most of it was done by a task of another request, or by what is of no request, a task of it too, whose
    result was awaited."""
    ids = work["activity_id"].str.rsplit("/", n=1).str[-1]
    spans = group.spans.of(work["trace_id"])
    own = pd.MultiIndex.from_frame(spans[["trace_id", "span_id"]])
    by_nobody = attribute(group.own_spans, schema.WAKER_KIND).isin(_OF_NOBODY)
    waits = group.own_spans[by_nobody | (attribute(group.own_spans, schema.FOR_TASK) != "")]
    itself = pd.MultiIndex.from_arrays([work["trace_id"], ids]).isin(own) & ~work["span_id"].isin(identities(waits))
    return bool(itself.mean() >= MIN_HELD)


def _held_by_nobodys(group: Group, cause: Cause) -> bool:
    """Whether a thread or task of no request had the lock: it does not do there what the requests came for."""
    own = group.of(cause)
    known = [schema.BLOCKER_NS in one and schema.BLOCKER_TRACE_ID not in one for one in group.attributes_of(own)]
    return bool(own.loc[known, "amount_ns"].sum() > own["amount_ns"].sum() / 2)


def _held_by_others(group: Group, cause: Cause) -> bool:
    """Whether mostly requests of other endpoints had the lock: they do not do there what these came for."""
    named, own = group.culprits_of(cause), {*group.requests["trace_id"]}
    by_others = [one not in own and one in group.spans for one in named["culprit_trace_id"]]
    return bool(named.loc[by_others, "ns"].sum() > named["ns"].sum() / 2)


def _by_request(rows: pd.DataFrame, what: str) -> pd.DataFrame:
    by_what = rows.rename(columns={what: "what"}).groupby(["request_id", "what"])
    return columns(
        by_what, start_ns=("start_ns", "min"), end_ns=("end_ns", "max"), ns=("amount_ns", "sum")
    ).reset_index()


def _bursts(own: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Those that ended together, where they are most of those who waited then."""
    while len(own):
        first = own.iloc[0]
        together = own["end_ns"] <= first["end_ns"] + _TOGETHER * first["ns"]
        if together.sum() >= _ALL * (own["start_ns"] < first["end_ns"]).sum():
            yield own[together]
        own = own[~together]


def _nobody_else(requests: pd.DataFrame, crowd: pd.DataFrame) -> bool:
    """Whether these are many, and all requests that began between the first and the last of them belong to them."""
    if len(crowd) < MANY_AWAITS:  # nearly all crowds: nothing else is looked at
        return False
    begun = requests["start_ns"].between(
        *requests.loc[requests["request_id"].isin(crowd["request_id"]), "start_ns"].agg(["min", "max"])
    )
    return bool(len(crowd) >= _ALL * begun.sum())


def _pattern(
    group: Group, kind: Situation, cause: Cause, what: str, own: pd.DataFrame, crowds: list[pd.DataFrame]
) -> Pattern:
    alone = len(group.requests) - own["request_id"].nunique()
    found = {"most": max(map(len, crowds)), "what": what, "times": len(crowds), "alone": alone}
    under = group.holders.of(cause, what)
    doing = str(under.nlargest(1, "ns")["doing"].iloc[0]) if len(under) else ""
    return Pattern(kind, cause, {**found, "requests": len(group.requests), "doing": doing})
