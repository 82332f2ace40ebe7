"""Requests wait behind holders: what those did meanwhile decides what helps."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.causes import Cause
from whywait.analysis.model import attribute
from whywait.analysis.situations.holders.chain import by_cause
from whywait.analysis.situations.holders.connections_held import holds_one
from whywait.analysis.situations.holders.what_holders_did import FOLLOWED
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import HARDLY, MIN_CYCLE, MIN_GIL_PART, MIN_HELD, MIN_KNOWN, SHORT_TURN_NS
from whywait.analysis.situations.what_helps import called, does_less, faster, instead_of, is_lock, limit_of
from whywait.analysis.spans.awaited import awaits, is_limit
from whywait.analysis.spans.held_loop import longest_block
from whywait.analysis.text import amount, named_at
from whywait.tracer import schema

_MOST_NAMED: Final = 3
_FOR_NOBODY: Final = (
    " For {share:.0%} of it those ahead worked for nobody: a time limit had ended the wait for them, which stops no thread. Give what "
    "they call that limit (timeout=), or let them look now and then whether they are still wanted (a threading.Event)."
)
_OF_SLEEP: Final = (
    " Where that sleep is a pause between tries, give this back before it and take it again for the next try; where it keeps to a "
    "rate, they wait for the rate: raise it, or ask less."
)
_OF_CLIENTS: Final = (
    " They wait for their clients there: take it when the request's body has been read, and give it back before the answer is "
    "sent, so that a slow client keeps nothing."
)
_QUEUES: Final = frozenset(FOLLOWED) - {Cause.LOOP_BUSY}
_KIND_OF: Final = dict.fromkeys(_QUEUES, Situation.HOLDERS_QUEUE) | {
    Cause.BLOCKING_IO: Situation.HOLDERS_WAIT,
    Cause.AWAIT_IO: Situation.HOLDERS_WAIT,
    Cause.REQUEST_IO: Situation.HOLDERS_WAIT,
    Cause.GIL_WAIT: Situation.HOLDERS_NEED_GIL,
    Cause.CPU_WAIT: Situation.HOLDERS_NEED_CPU,
    Cause.COMPUTE: Situation.HOLDERS_COMPUTE,
    Cause.GPU_COMPUTE: Situation.HOLDERS_COMPUTE,
    Cause.LOOP_BUSY: Situation.HOLDERS_NEED_LOOP,
    Cause.GC_PAUSE: Situation.HOLDERS_COLLECT,
}


def behind(group: Group) -> Iterator[Pattern]:
    """Yield for each significant wait behind others what those did, where most of it is known and of one kind."""
    stuck = {found.of for found in (*deadlocks(group), *holds_one(group))} if group.requests["unfinished"].any() else ()
    for cause in group.significant:
        if cause in stuck:  # what they did before that is no reason
            continue
        every, own = _of_holders(group, cause)
        found = [*_background(group, cause)] if cause in (Cause.POOL_QUEUE, Cause.LIMITER_WAIT) else []
        yield from found
        if found or own.empty or own["ns"].sum() < MIN_KNOWN * every["ns"].sum():
            continue
        told, decisive = _shares(own, cause)
        kind = max(decisive, key=decisive.__getitem__)
        of_one_kind = decisive[kind] >= MIN_HELD
        scarce = [] if of_one_kind and kind is not Situation.HOLDERS_QUEUE else list(_scarce(group, cause))
        yield from scarce
        if of_one_kind and not scarce:
            yield _of_kind(group, cause, kind, own[own["kind"] == kind].nlargest(1, "ns").iloc[0], told[kind])


def _background(group: Group, cause: Cause) -> Iterator[Pattern]:
    """Where most of the places of a pool or limit were taken by the user's work for no request: no span shows what it did, or
    its request had its answer, with no time limit."""
    own, named = group.of(cause), _waits_behind(group, cause)
    named = named[named["culprit_file"] != ""]
    ends = group.spans.once(_answered)
    for_none = (named["culprit_trace_id"] == "").astype(float)
    if named["culprit_trace_id"].isin(ends.index).any() and not _for_nobody(group, cause):
        for_none = for_none.where(for_none > 0, _part_after(named, ends))
    named = named.assign(ns=named["ns"] * for_none)
    longest = group.attributes_of(own.nlargest(1, "amount_ns"))[0] if len(named) else {}
    by_thread = longest.get(schema.WAKER_KIND) == schema.WAKER_THREAD  # which works for those that wait
    how = limit_of(longest) if len(named) and not by_thread else ""
    one_has_it = bool(len(named)) and cause is Cause.LIMITER_WAIT and is_lock(longest)
    if (how or one_has_it) and named["ns"].sum() >= MIN_HELD * own["amount_ns"].sum():
        chief = named.nlargest(1, "ns").iloc[0]
        who = named_at(chief["culprit"], chief["culprit_file"], chief["culprit_line"])
        yield Pattern(Situation.BACKGROUND_HOLDS, cause, {"culprit": who, "how": how, "is_lock": one_has_it})


def _shares(own: pd.DataFrame, cause: Cause) -> tuple[dict[Situation, float], dict[Situation, float]]:
    """Return the part of each kind of what the holders did; and the same where the GIL has that of the computing, too, or
    computing that of the CPUs: what computes on a loop holds it for as long as both take."""
    sums = own.groupby("kind")["ns"].sum() / own["ns"].sum()
    told = {Situation(str(kind)): float(share) for kind, share in sums.items()}
    gil, computing = (told.get(kind, 0.0) for kind in (Situation.HOLDERS_NEED_GIL, Situation.HOLDERS_COMPUTE))
    if gil >= MIN_GIL_PART * (gil + computing) > 0:  # who computes Python has what the others need
        return told, told | {Situation.HOLDERS_NEED_GIL: gil + computing}
    cpu = told.get(Situation.HOLDERS_NEED_CPU, 0.0)
    if cause is Cause.LOOP_BUSY and computing >= max(cpu, gil) > 0:
        return told, told | {Situation.HOLDERS_COMPUTE: cpu + computing}
    return told, told


def _of_kind(group: Group, cause: Cause, kind: Situation, chief: "pd.Series[Any]", share: float) -> Pattern:
    did, doing = Cause(chief["did"]), str(chief["doing"])
    says = did.info.detail_adds or did is Cause.LOOP_BUSY
    if cause is Cause.LOOP_BUSY and did is Cause.CONNECTION_WAIT:
        doing = f"waiting for a connection ({doing})"
    at, wait = (group.attributes.get(str(chief[key]), {}) for key in ("at", "span_id"))
    for_job = cause is Cause.LOOP_BUSY and at.get(schema.KIND) == schema.KIND_RUN
    if for_job:
        doing, says = f"waiting for a job ({doing})", True
    how = instead_of(at) if cause is Cause.LOOP_BUSY else limit_of(wait)
    if kind is Situation.HOLDERS_COLLECT:
        how = _less(group, chief)
    elif cause is Cause.LOOP_BUSY and kind is Situation.HOLDERS_COMPUTE:
        how = _faster(group, str(chief["stood"]), str(chief["stood_file"]))
    one_has_it = is_lock(wait)
    if chief["at"] == chief["span_id"]:  # what the holder does is all that is known of the wait: no limit has a name
        how = "how many of what they take and give back there are"
        alike = group.holders.of(cause, chief["detail"])
        one_has_it = bool(alike["together_ns"].sum() >= MIN_HELD * alike["ns"].sum())  # and lets all go on
    if kind is Situation.HOLDERS_QUEUE:
        how = did.info.remedy
        ahead = group.holders.of(did, doing)
        for one in ahead[ahead["stood_file"] != ""].nlargest(1, "ns").to_dict("records"):
            doing += f"; behind {named_at(one['stood'], one['stood_file'], one['stood_line'])}, "
            doing += Cause(one["did"]).info.phrase
    found = {"did": did, "doing": doing * says, "share": share, "how": how, "is_lock": one_has_it}
    found["is_limit"] = schema.SEMAPHORE in str(wait.get(schema.LOCK_KIND))
    locks = {one.get(schema.LOCK_ID) for one in group.attributes_of(group.of(cause))} - {None}
    found["per_object"] = "" if len(locks) > 1 else ", or use one lock per object instead of one for all"
    found["own"] = _apart(group, cause)
    found["pace"] = _OF_CLIENTS if did is Cause.REQUEST_IO else _OF_SLEEP * awaits(at, schema.FOR_SLEEP)
    is_there = wait.get(schema.POOL_NAME) == schema.POOL_NAME_PROCESSES or at.get(schema.PROCESS) is True
    found["shorter"] = "or make the job shorter" if is_there else "make the job shorter, or move it to processes"
    if for_job:
        del found["did"]  # that is what the job did
    return Pattern(kind, cause, found)


def _faster(group: Group, function: str, file: str) -> str:
    """What helps about the function that computes on the loop, as its longest block in the traces that were waited for shows."""
    traces = group.culprits_of(Cause.LOOP_BUSY)["culprit_trace_id"].unique()
    # what goes on after an answer has a trace of its own
    found = (longest_block(spans, function, file) for spans in (group.spans.of(traces), group.spans.all))
    name, attributes = next(filter(any, found), ("", {}))
    return faster("loop", function, file, attributes, name.removeprefix(schema.BLOCK_SPAN_PREFIX))


def _apart(group: Group, cause: Cause) -> str:
    """What these requests run in a pool themselves, after " ", where it is so little that it needs no thread, or hardly one of
    those; and whether those ahead work for requests that have ended."""
    (wait,) = group.attributes_of(group.of(cause).nlargest(1, "amount_ns"))
    if schema.POOL_NAME not in wait:
        return ""
    spans = group.own_spans
    kinds, names = attribute(spans, schema.KIND), attribute(spans, schema.POOL_NAME)
    jobs = spans.loc[(kinds == schema.KIND_JOB) & (names == wait[schema.POOL_NAME]), "span_id"]
    runs = spans[(kinds == schema.KIND_RUN) & attribute(spans, schema.ACTIVITY).isin(jobs)]
    ns = runs["end_ns"] - runs["start_ns"]
    mean_ns = float(ns.sum()) / len(group.requests)
    after = _for_nobody(group, cause)
    if runs.empty or mean_ns >= HARDLY * group.means[cause]:
        return after
    run = sorted(attribute(runs, schema.CODE_FUNCTION).unique())
    said = f"{', '.join(run[:_MOST_NAMED])}{' and others' if len(run) > _MOST_NAMED else ''}"
    helps = "in a small pool of its own it would not wait for those that take longer"
    if ns.mean() < SHORT_TURN_NS:
        helps = "as `async def`, or called directly, it needs no thread, and waits for none"
    return f" What these requests run there themselves ({said}) takes {amount(mean_ns)} in all: {helps}.{after}"


def _for_nobody(group: Group, cause: Cause) -> str:
    """Whether most of a wait for a worker passed behind jobs of requests that a time limit had sent on, after " "."""
    waits = _waits_behind(group, cause)
    spans = group.spans.of(waits["culprit_trace_id"])
    spans = spans[attribute(spans, schema.WAKER_KIND) == schema.WAKER_TIMER]
    limited = spans.loc[[is_limit(one) for one in spans["attributes"]]].groupby("trace_id")["end_ns"].max()
    share = float((waits["ns"] * _part_after(waits, limited)).sum()) / max(float(waits["ns"].sum()), 1.0)
    return _FOR_NOBODY.format(share=share) if share >= MIN_HELD else ""


def _waits_behind(group: Group, cause: Cause) -> pd.DataFrame:
    """The culprits of a wait, with its end."""
    own = group.of(cause)[["request_id", "start_ns", "end_ns"]]
    return group.culprits_of(cause).merge(own, on=["request_id", "start_ns"])


def _answered(spans: pd.DataFrame) -> "pd.Series[Any]":
    """When each trace's request had its answer."""
    roots = spans[attribute(spans, schema.ROOT).eq(True)]
    return roots.groupby("trace_id")["end_ns"].max()


def _part_after(waits: pd.DataFrame, ends: "pd.Series[Any]") -> "pd.Series[float]":
    """The part of each of these waits that passed after such an end in the trace of who was ahead."""
    since = np.maximum(waits["culprit_trace_id"].map(ends).astype(float), waits["start_ns"])
    return ((waits["end_ns"] - since).clip(lower=0) / (waits["end_ns"] - waits["start_ns"])).fillna(0.0)


def _less(group: Group, chief: "pd.Series[Any]") -> str:
    """How the library's function that is called there would do less, before " Else "; "" where nothing of it is known."""
    every = group.holders.all
    there = every["stood_file"].eq(chief["stood_file"]) & every["stood_line"].eq(chief["stood_line"])
    calls = (called(group.attributes.get(str(at), {})) for at in every.loc[there.fillna(False), "at"])
    said = next(filter(None, (does_less(call, chief["stood"]) for call in calls)), "")
    return said and f"{said[0].lower()}{said[1:]} Else "


def _scarce(group: Group, cause: Cause) -> Iterator[Pattern]:
    """Where the holders wait in turn, or do nothing for most of the time: the GIL or the CPUs, if those are what most of
    the time ended in together with computing. More of what is waited for would only move the queue there."""
    ends = by_cause(group.meanwhile[cause])
    gil, cpu, own = (ends[one] for one in (Cause.GIL_WAIT, Cause.CPU_WAIT, Cause.COMPUTE))
    known = sum(ends.values())
    if not known or gil + cpu + own < MIN_HELD * known or gil + cpu < MIN_GIL_PART * (gil + cpu + own):
        return
    did = Cause.GIL_WAIT if gil >= cpu else Cause.CPU_WAIT
    found = {"did": did, "doing": "", "share": ends[did] / known, "how": "", "is_lock": False}
    found["own"] = _apart(group, cause)
    yield Pattern(Situation(_KIND_OF[did]), cause, found)


def _of_holders(group: Group, cause: Cause) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The group's rows of a cause: all, and those of whose holders is known what they did."""
    every = group.behind(cause)
    if every.empty:
        return every, every
    kinds = _KIND_OF | ({Cause.CONNECTION_WAIT: Situation.HOLDERS_WAIT} if cause is Cause.LOOP_BUSY else {})
    own = every[every["did"] != ""]
    at = (group.attributes.get(str(one), {}) for one in own["at"])
    job = np.array([cause is Cause.LOOP_BUSY and one.get(schema.KIND) == schema.KIND_RUN for one in at], dtype=bool)
    return every, own.assign(kind=own["did"].map(kinds).mask(job, Situation.HOLDERS_WAIT))


def deadlocks(group: Group) -> Iterator[Pattern]:
    """Yield where requests that never ended wait in a circle for what another of them has."""
    unfinished = group.requests.loc[group.requests["unfinished"], "request_id"]
    if unfinished.empty:
        return
    last = group.causes[group.causes["request_id"].isin(unfinished)].sort_values("end_ns").groupby("trace_id").tail(1)
    waits = {str(row["trace_id"]): row for row in last.to_dict("records") if row["cause"] in _QUEUES}
    circle = next(filter(None, (_circle(one, waits) for one in waits)), [])
    if circle:
        first, second = (str(one["detail"]) for one in circle[:2])
        words = f"each of {len(circle)} requests has what the next of them waits for"
        yield Pattern(
            Situation.WAIT_CYCLE, Cause(circle[0]["cause"]), {"first": first, "second": second, "back": words}
        )


def _circle(start: str, waits: dict[str, dict[Any, Any]]) -> list[dict[Any, Any]]:
    """The waits that lead from this request's back to it; [] where they do not, or it waits for itself."""
    found = [waits[start]]
    while len(found) <= len(waits):
        after = str(found[-1]["culprit_trace_id"])
        if after == start:
            return found if len(found) > 1 else []
        if after not in waits:
            break
        found.append(waits[after])
    return []


def wait_cycles(group: Group) -> Iterator[Pattern]:
    """Yield where the holders of what is waited for wait for another thing, whose holders wait for the first."""
    for cause in group.significant:
        own = group.behind(cause)
        if own["did"].isin(_QUEUES).any():
            yield from _cycles(group, cause, own[own["did"] != ""])


def _cycles(group: Group, cause: Cause, own: pd.DataFrame) -> Iterator[Pattern]:
    for row in own[own["did"].isin(_QUEUES)].nlargest(1, "ns").to_dict("records"):
        back = group.holders.of(row["did"], row["doing"])
        known = back[back["did"] != ""]
        closing = known[(known["did"] == cause) & (known["doing"] == row["detail"])]["ns"].sum()
        words = "who has the one waits for the other"
        closes = closing >= MIN_CYCLE * known["ns"].sum() > 0
        # nothing is known of who has it, but that it was not released in time: in logging, a handler's own pause
        if not closes and len(back) and row["did"] != Cause.LOGGING_WAIT:
            longest = group.attributes.get(str(back.nlargest(1, "ns")["span_id"].iloc[0]), {})
            closes = longest.get(schema.WAKER_KIND) == schema.WAKER_TIMER
            words = "nobody released the latter within its time limit: who has it probably waits for the former"
        if closes and row["ns"] >= MIN_CYCLE * own.loc[own["detail"] == row["detail"], "ns"].sum():
            members = [str(row[key]) for key in ("detail", "doing")]
            first, second = sorted(members) if closing else members  # from both sides one sentence
            yield Pattern(Situation.WAIT_CYCLE, cause, {"first": first, "second": second, "back": words})
