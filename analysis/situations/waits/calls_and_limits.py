"""Where blocking calls ran, and who gives what is waited for: both decide what helps."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import pandas as pd

from whywait.analysis.capacity.contention import in_batches
from whywait.analysis.capacity.window import most_at_once
from whywait.analysis.causes import Cause, Evidence
from whywait.analysis.grouped import columns
from whywait.analysis.model import attribute
from whywait.analysis.situations.answers import in_parts
from whywait.analysis.situations.holders.holders import stood_in
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import COLD_FIRST, MIN_HELD, MIN_MEAN_NS
from whywait.analysis.situations.waits.who_answers import stood_ahead
from whywait.analysis.situations.what_helps import (
    DEADLOCK,
    PASSED_ON,
    USE_PARTS,
    awaited_instead,
    called,
    in_thread,
    instead_of,
    late,
    stands_in,
    waits_for_news,
)
from whywait.analysis.spans.awaited import awaits, is_limit, is_of
from whywait.analysis.text import named_at
from whywait.tracer import schema

_ON: Final = {schema.KIND_TASK: Situation.BLOCKS_LOOP, schema.KIND_JOB: Situation.IN_WORKER}
_GIVEN: Final = {
    Cause.LOCK_WAIT: schema.FOR_THREAD_GIVES,
    Cause.LIMITER_WAIT: schema.FOR_BARRIER,
    Cause.LOGGING_WAIT: schema.FOR_THREAD_QUEUE,
}
_ELSEWHERE: Final = (schema.WAKER_JOB, schema.WAKER_THREAD)  # of no request
_ENDED: Final = (
    " Requests failed, too: where several of it were started, see that the error of one request ends none of them (a `try` inside "
    "its loop)."
)
_IDLE: Final = (
    " (in this time it does not compute, but waits itself: for an answer, in a pause, or for a lock that another such thread has "
    "for all of its work: hold that for a part of it at a time)"
)


def blocking_calls(group: Group) -> Iterator[Pattern]:
    """Yield whether most of the time in blocking calls passed on the event loop, or in worker threads."""
    own = group.of(Cause.BLOCKING_IO)
    if own.empty:
        return
    where = [
        Situation.IN_WORKER if _is_elsewhere(found) else _ON.get(kind)
        for kind, found in zip(group.kinds_of(own), group.attributes_of(own), strict=True)
    ]
    shares = own.groupby(pd.Series(where, own.index, dtype=object))["amount_ns"].sum() / own["amount_ns"].sum()
    for kind in shares[shares >= MIN_HELD].nlargest(1).index:
        helps = instead_of if kind == Situation.BLOCKS_LOOP else in_thread
        hows = pd.Series([helps(found) for found in group.attributes_of(own)], own.index, dtype=object)
        how = str(own["amount_ns"].groupby(hows[[one == kind for one in where]]).sum().idxmax())
        yield Pattern(Situation(str(kind)), Cause.BLOCKING_IO, {"share": float(shares[kind]), "how": how})


def locks_on_the_loop(group: Group) -> Iterator[Pattern]:
    """Yield whether most of the time in locks that only samples show passed on the event loop, which stands meanwhile."""
    own = group.of(Cause.LOCK_WAIT)
    if own.empty:
        return
    unknown = own[(own["evidence"] == Evidence.SAMPLED) & (group.kinds_of(own) == schema.KIND_TASK)]
    if unknown["amount_ns"].sum() >= max(MIN_HELD * own["amount_ns"].sum(), 1):
        yield Pattern(Situation.BLOCKS_LOOP, Cause.LOCK_WAIT, {})


def jobs_on_the_loop(group: Group) -> Iterator[Pattern]:
    """Yield whether most of the time that jobs were queued, or computed in processes, passed in calls that waited for them on
    the event loop, which stands meanwhile."""
    causes = group.significant_of(Cause.POOL_QUEUE, Cause.COMPUTE)
    spans, kinds = group.own_spans, attribute(group.own_spans, schema.KIND)
    if not causes or not (kinds == schema.KIND_BLOCK).any() or not (kinds == schema.KIND_JOB).any():
        return
    blocks = spans[kinds == schema.KIND_BLOCK].drop(columns="parent_id").rename(columns={"span_id": "parent_id"})
    within = spans[kinds == schema.KIND_JOB].merge(blocks, on=["trace_id", "parent_id"], suffixes=("", "_of"))
    within = within[within["end_ns"] <= within["end_ns_of"]]
    for cause in causes:
        own = group.of(cause)
        bare = pd.Series([one.rpartition("/")[2] for one in own["activity_id"]], own.index, dtype=object)
        own = own[bare.isin(within["span_id"])]
        if own["amount_ns"].sum() >= max(MIN_HELD * group.of(cause)["amount_ns"].sum(), 1):
            at = within.nlargest(1, "end_ns_of").iloc[0]["attributes_of"]
            yield Pattern(Situation.BLOCKS_LOOP, cause, {"how": awaited_instead(at)})


def consumers(group: Group) -> Iterator[Pattern]:
    """Yield the task of no request that did one thing after another while each request waited for it, whether it answers
    several requests at once, and how many of it run."""
    batches, at_once, once = group.spans.once(of_all_requests)
    for cause, own, turns in _by_tasks(group, _in_turn):
        turns = turns[~turns["task"].isin(once)]
        for one in turns[turns["ns"] >= MIN_HELD * own["amount_ns"].sum()].to_dict("records"):
            found = {"mean_ns": one["ns"] / one["times"], "times": one["times"] / one["requests"]}
            kind = Situation.BATCHES if one["task"] in batches else Situation.CONSUMER
            found |= {"task": one["task"], "doing": one["detail"], "tasks": at_once[one["task"]]}
            failed = group.requests["error"].any() and found["tasks"] == 1
            some = f", as {one['requests']:,} of {len(group.requests):,} did"
            found |= {"ahead": "", "apart": "", "some": some * (one["requests"] < len(group.requests))}
            if ahead := stood_ahead(group, one["task"]):
                found["ahead"] = f" Requests of {ahead}, begun before, queued there, too, for most of that time."
                found["apart"] = f" Or give {ahead} a queue of its own, or each client, and take from all in turn."
            found["several"] = f"more of it than these {found['tasks']}" if found["tasks"] > 1 else "several of it"
            found["ended"] = _ENDED * bool(failed)
            yield Pattern(kind, cause, found)


def by_tasks(group: Group) -> Iterator[Pattern]:
    """Yield the task of no request for which requests waited while it did something, how many of them, and for how long."""
    _, _, once = group.spans.once(of_all_requests)

    def task_of(found: dict[str, Any]) -> str:
        return _of_task(found) or (_in_turn(found) if _in_turn(found) in once else "")

    for cause, own, turns in _by_tasks(group, task_of):
        for one in turns[turns["ns"] >= MIN_HELD * own["amount_ns"].sum()].to_dict("records"):
            waited = own.loc[(own["task"] == one["task"]) & (own["detail"] == one["detail"]), "request_id"].nunique()
            found = {"mean_ns": one["ns"] / waited, "requests": waited, "among": len(group.requests)}
            found |= {"task": one["task"], "doing": one["detail"]}
            yield Pattern(Situation.BY_TASK, cause, found)


def of_all_requests(spans: pd.DataFrame) -> tuple[set[str], dict[str, int], set[str]]:
    """The tasks that answer several requests at once, of whatever endpoints; how many of each name worked at a time:
    what one does ends before it does the next; and those that let few requests go on at one time, and never others."""
    waits = spans[["trace_id", "start_ns", "end_ns"]].assign(task=attribute(spans, schema.FOR_TASK))
    waits = waits[waits["task"] != ""].sort_values("end_ns")
    last = waits.drop_duplicates(["task", "trace_id"], keep="last")
    pieces = waits.sort_values("start_ns").drop_duplicates(["task", "end_ns"])
    at_once = {}
    for task, one in pieces.groupby("task"):
        of_thread = str(task).startswith(schema.OF_THREAD)
        at_once[str(task)] = 1 if of_thread else most_at_once(one["start_ns"], one["end_ns"])
    ends = last.groupby("task")["end_ns"].agg(["size", "min", "max"])
    few = ends["size"].between(2, COLD_FIRST * spans["trace_id"].nunique())
    once = {*ends.index[few & (ends["max"] - ends["min"] < MIN_MEAN_NS)]}
    return {*last.loc[in_batches(last, ["task"]), "task"]}, at_once, once


def _by_tasks(
    group: Group, task_of: Callable[[dict[str, Any]], str]
) -> Iterator[tuple[Cause, pd.DataFrame, pd.DataFrame]]:
    for cause in group.significant_of(Cause.AWAIT_IO, Cause.BLOCKING_IO, Cause.COMPUTE, Cause.LIMITER_WAIT):
        own = group.of(cause)
        own = own.assign(task=[task_of(found) for found in group.attributes_of(own)])
        if not own["task"].any():
            continue
        of_tasks = own[own["task"] != ""].groupby(["task", "detail"])
        found = {"ns": ("amount_ns", "sum"), "times": ("span_id", "nunique"), "requests": ("request_id", "nunique")}
        yield cause, own, columns(of_tasks, **found).reset_index()


def signals(group: Group) -> Iterator[Pattern]:
    """Yield whether most waits that others ended were for something that those give, and not for a lock or a limit."""
    for cause, given in _GIVEN.items():
        if len(group.most_of(cause, partial(awaits, pattern=given))):
            # where who gives it passed the time
            stood = stood_in(group.behind(cause)) if cause is Cause.LOCK_WAIT else None
            yield Pattern(Situation.SIGNAL, cause, {"who": named_at(*stood) if stood else _who(group, cause)})
    there = {stands_in(one) for one in group.attributes_of(group.of(Cause.AWAIT_IO)) if one.get(schema.WAKER_TRACE_ID)}

    def later(one: dict[str, Any]) -> bool:
        return bool(one.get(schema.WAKER_TRACE_ID)) or (is_limit(one) and stands_in(one) in there)

    if len(group.most_of(Cause.AWAIT_IO, later)):
        yield Pattern(Situation.SIGNAL, Cause.AWAIT_IO, {"who": _comer(group) or _who(group, Cause.AWAIT_IO)})
    if len(own := group.most_of(Cause.AWAIT_IO, _by_task_that_came)):
        (longest,) = group.attributes_of(own.nlargest(1, "amount_ns"))
        yield Pattern(Situation.SIGNAL, Cause.AWAIT_IO, {"who": f"a task of no request ({longest[schema.WAKER_NAME]})"})
    if len(group.most_of(Cause.AWAIT_IO, waits_for_news)):
        yield Pattern(Situation.SIGNAL, Cause.AWAIT_IO, {"who": "another client of the server"})


def _by_task_that_came(one: dict[str, Any]) -> bool:
    is_task = one.get(schema.WAKER_KIND) == schema.WAKER_UNKNOWN and schema.WAKER_NAME in one
    return is_task and awaits(one, schema.FOR_SIGNAL)


def by_threads(group: Group) -> Iterator[Pattern]:
    """Yield the thread of no request that ended most of the waits, by a future or a call on the loop, and its function."""
    own = group.most_of(Cause.LIMITER_WAIT, lambda found: found.get(schema.WAKER_KIND) == schema.WAKER_THREAD)
    if len(own) and (who := _who(group, Cause.LIMITER_WAIT)):
        (longest,) = group.attributes_of(own.nlargest(1, "amount_ns"))
        thread = str(longest.get(schema.WAKER_NAME) or "a thread")
        idle = _IDLE * (schema.CPU_NS in longest)  # what it computes has a cause of its own
        yield Pattern(Situation.BY_THREAD, Cause.LIMITER_WAIT, {"who": who, "thread": thread, "idle": idle})


def _who(group: Group, cause: Cause) -> str:
    """The culprit of most of a wait in one piece; "" where none is known."""
    chief = group.culprits_of(cause).nlargest(1, "ns").to_dict("records")
    return "".join(named_at(one["culprit"], one["culprit_file"], one["culprit_line"]) for one in chief)


def _comer(group: Group) -> str:
    """The request that gave what most of the time was awaited; "" where no span shows it."""
    own = group.culprits_of(Cause.AWAIT_IO)
    others = own[(own["culprit_trace_id"] != own["trace_id"]) & (own["culprit_trace_id"] != "")].nlargest(1, "ns")
    there = group.spans.of(others["culprit_trace_id"])
    parents = there.loc[[one.get(schema.ROOT) is True for one in there["attributes"]], "parent_id"]
    return next(iter(there.loc[there["span_id"].isin(parents), "name"]), "")


def awaited_answers(group: Group) -> Iterator[Pattern]:
    """Yield what most of what is awaited is: bodies of answers that have begun, answers of a database or of another service,
    a child process, or pauses of the code's own."""
    own = group.of(Cause.AWAIT_IO)
    if own.empty:
        return
    known: dict[tuple[Any, ...], Situation | None] = {}  # few differ
    kinds = []
    for found in group.attributes_of(own):
        decides = tuple(found.get(key) for key in _DECIDE)
        if decides not in known:
            known[decides] = next((kind for kind, is_one in _ANSWERS.items() if is_one(found)), None)
        kinds.append(known[decides])
    by_kind = own["amount_ns"].groupby(pd.Series(kinds, own.index, dtype=object)).sum()
    for kind in by_kind[by_kind * 2 >= own["amount_ns"].sum()].index[:1]:
        (longest,) = group.attributes_of(own.nlargest(1, "amount_ns"))
        made = own.loc[[found.get(schema.FOR_STEP) in schema.STEPS_TO_CONNECT for found in group.attributes_of(own)]]
        anew = made["request_id"].nunique() >= MIN_HELD * len(group.requests)
        found = {"how": late(longest, anew=anew), "deadlock": DEADLOCK * _looks_for_one(own)}
        found["use"] = PASSED_ON if in_parts(group.requests).mean() >= MIN_HELD else USE_PARTS
        yield Pattern(Situation(str(kind)), Cause.AWAIT_IO, found)


def _looks_for_one(own: pd.DataFrame) -> bool:
    """Whether most of it passed in waits of a second, after which PostgreSQL looks for a deadlock (its deadlock_timeout)."""
    whole = (own["end_ns"] - own["start_ns"]).groupby(own["span_id"]).sum()
    return bool(whole[whole.between(1e9, 1.05e9)].sum() >= MIN_HELD * whole.sum())


def slow_readers(group: Group) -> Iterator[Pattern]:
    """Yield whether most of the time in which answers are sent, or others awaited, passes until receivers of messages
    have read them."""
    for cause, is_one in (
        (Cause.REQUEST_IO, _is_message),
        (Cause.AWAIT_IO, lambda one: _is_message(one) or _drains(one)),
    ):
        if len(group.most_of(cause, is_one)):
            yield Pattern(Situation.SLOW_READER, cause, {})


def _is_message(attributes: dict[str, Any]) -> bool:
    names = ".".join(str(attributes.get(key) or "") for key in (schema.FOR_MODULE, schema.FOR, schema.FOR_CALL))
    closes = re.match(schema.CALL_CLOSES, called(attributes)) is not None
    return re.search(schema.FOR_WEBSOCKET_SEND, names) is not None and not closes


def _drains(attributes: dict[str, Any]) -> bool:
    """Of a stream of the user's own, and no client's of a library."""
    return awaits(attributes, schema.FOR_DRAIN) and not attributes.get(schema.FOR_CALL)


def _is_elsewhere(attributes: dict[str, Any]) -> bool:
    """Of what the request awaits: the loop goes on."""
    return attributes.get(schema.WAIT) == schema.WAIT_AWAIT and attributes.get(schema.WAKER_KIND) in _ELSEWHERE


def _in_turn(attributes: dict[str, Any]) -> str:
    """The task of no request that did several such things; "" of what a time limit ended, which is no work."""
    return _task(attributes) if schema.FOR_TURNS in attributes else ""


def _of_task(attributes: dict[str, Any]) -> str:
    """The task of no request that did one such thing; "" where it only waited for more to come."""
    idle = schema.FOR_TURNS in attributes or attributes.get(schema.WAKER_KIND) == schema.WAKER_ARRIVAL
    return "" if idle else _task(attributes)


def _task(attributes: dict[str, Any]) -> str:
    return "" if is_limit(attributes) else str(attributes.get(schema.FOR_TASK, ""))


def _is_others(attributes: dict[str, Any]) -> bool:
    """Of a client's library, or woken by a socket: not what a child process takes."""
    by_socket = attributes.get(schema.WAKER_KIND) == schema.WAKER_IO and not awaits(attributes, schema.FOR_CHILD)
    return by_socket or is_of(attributes, schema.PACKAGE_CLIENT)


def _is_pause(attributes: dict[str, Any]) -> bool:
    return (
        awaits(attributes, schema.FOR_SLEEP) and schema.FOR_CALL not in attributes and schema.FOR_TASK not in attributes
    )


_DECIDE: Final = (
    schema.FOR, schema.FOR_MODULE, schema.FOR_CALL, schema.FOR_PACKAGE, schema.FOR_STEP, schema.FOR_TASK, schema.WAKER_KIND,
)  # fmt: skip
_ANSWERS: Final[dict[Situation, Callable[[dict[str, Any]], bool]]] = {
    Situation.LARGE_ANSWER: lambda found: found.get(schema.FOR_STEP) == schema.STEP_BODY,
    Situation.DATABASE: lambda found: is_of(found, schema.PACKAGE_DATABASE),
    Situation.OTHER_SERVICE: _is_others,
    Situation.CHILD_PROCESS: lambda found: awaits(found, schema.FOR_CHILD),
    Situation.PAUSE: _is_pause,
}
