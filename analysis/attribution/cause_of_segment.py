"""Applies the rules: cause, evidence and detail of each segment, and the spans they come from."""

from dataclasses import dataclass
from typing import Final, get_args

import numpy as np

from whywait.analysis.attributes import objects
from whywait.analysis.attribution.details import fill
from whywait.analysis.attribution.segment_facts import Facts, gather_facts
from whywait.analysis.attribution.segment_rules import LATER, QUEUED, RULES, RowsOf, rule_numbers
from whywait.analysis.causes import NUMBER, Cause, Evidence
from whywait.analysis.path.pieces import Pieces
from whywait.analysis.path.running_frames import Frames
from whywait.analysis.path.segments import GIL, Segments
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.awaited import all_awaits
from whywait.analysis.spans.span_table import Bools, Ints, SpanTable, Texts, taken
from whywait.tracer import schema

_TURN: Final = "its turn, behind another request"
SHARED: Final = "shared with another request"
_AT_ONCE_NS: Final = 1_000_000
# what a request does for itself: found in the activity of another one, it is what this one waited behind
_OWN: Final = [NUMBER[one] for one in (Cause.COMPUTE, Cause.AWAIT_IO, Cause.REQUEST_IO, Cause.BLOCKING_IO)]


@dataclass(frozen=True, slots=True)
class Described:
    """One entry per segment."""

    cause: Ints  # number in CAUSES
    evidence: Texts
    detail: Texts
    span: Ints  # row of the innermost span around the segment
    is_wait: Bools
    sampled: Ints  # row of the span whose samples divided this segment, NONE
    queued: Ints  # row of the span that names what used the CPUs in this run-queue time, NONE
    error: Ints  # standard error of the amount, ns; 0 where it was not sampled


def describe(
    spans: SpanTable, activities: Activities, frames: Frames, pieces: Pieces, segments: Segments, request_rows: Ints
) -> Described:  # fmt: skip
    """Return cause, evidence, detail and span of each segment."""
    facts = gather_facts(spans, activities, frames, pieces, segments, request_rows)
    rules = rule_numbers(facts)
    later = np.flatnonzero(np.isin(rules, [LATER, QUEUED]))
    comers = _given_later(spans, activities, request_rows, facts.span[later]) if len(later) else {}
    later = later[np.isin(facts.span[later], list(comers))]
    rules[later] = LATER
    evidence = objects([rule.evidence.value for rule in RULES])[rules]
    evidence[(evidence == Evidence.OBSERVED.value) & facts.unsure] = Evidence.INFERRED.value
    of = np.array([rule.of for rule in RULES])[rules]
    rows = np.select([of == one for one in get_args(RowsOf)], [getattr(facts, one) for one in get_args(RowsOf)])
    cause = np.array([NUMBER[rule.cause] for rule in RULES], dtype=np.int64)[rules]
    detail = fill([rule.detail for rule in RULES], rules, spans, rows)
    mine = spans.traces[request_rows[segments.request]]
    of_others = (taken(activities.trace, segments.activity) != mine) & (segments.activity >= 0)
    own = of_others & np.isin(cause, _OWN)
    working = np.flatnonzero(own & ~np.isin(taken(activities.trace, segments.activity), _served(spans, request_rows)))
    detail[working] = _in_work(spans, activities, request_rows, segments.activity[working], detail[working])
    evidence[working] = Evidence.INFERRED.value
    own[working] = False
    behind = np.flatnonzero(own)
    evidence[behind] = Evidence.INFERRED.value
    shared = _shared(spans, activities) if len(behind) else behind
    given = _given(spans, activities, request_rows) if len(behind) else behind
    of_both, awaits = _key(spans, mine[behind], segments.activity[behind]), cause[behind] == NUMBER[Cause.AWAIT_IO]
    is_shared, is_given = np.isin(of_both, shared) & awaits, np.isin(of_both, given) & awaits
    words = np.select([is_shared, is_given], [SHARED, "given by another request"], _TURN)
    detail[behind] = objects([f"{how}: {one}" for how, one in zip(words, detail[behind], strict=True)])
    cause[behind[~(is_shared | is_given)]] = NUMBER[Cause.LIMITER_WAIT]
    cause[later] = NUMBER[Cause.AWAIT_IO]
    detail[later] = objects(
        [f"{one}, {comers[row]}" for one, row in zip(detail[later], facts.span[later].tolist(), strict=True)]
    )
    return Described(
        cause=cause,
        evidence=evidence,
        detail=detail,
        span=facts.span,
        is_wait=facts.waiting,
        sampled=facts.sampled,
        queued=facts.queued,
        error=_errors(spans, segments, facts),
    )


def _served(spans: SpanTable, request_rows: Ints) -> Ints:
    """The traces of what came from outside. Other work, such as a batch's, has no turn: who waits for it waits for what
    it does."""
    return np.unique(spans.traces[request_rows[spans.kinds[request_rows] != schema.KIND_PHASE]])


def _names(spans: SpanTable, request_rows: Ints) -> dict[int, str]:
    """By trace: its request's name."""
    return dict(zip(spans.traces[request_rows].tolist(), spans.names[request_rows], strict=True))


def _in_work(spans: SpanTable, activities: Activities, request_rows: Ints, activity: Ints, detail: Texts) -> Texts:
    """The details, with the name of the work in which each activity was."""
    names, of = _names(spans, request_rows), activities.trace[activity].tolist()
    return objects(
        [f"{one}, in {names[trace]}" if trace in names else one for one, trace in zip(detail, of, strict=True)]
    )


def _shared(spans: SpanTable, activities: Activities) -> Ints:
    """The tasks and jobs of one request whose results others awaited: they ended with the waits, and nobody's turn came."""
    waits = activities.waits
    of = _waiters(activities)
    ends = waits.vend + activities.start[of] - activities.vstart[of]
    by = waits.waker
    awaited = (
        (by >= 0) & (activities.trace[by] != activities.trace[of]) & (abs(activities.end[by] - ends) < _AT_ONCE_NS)
    )
    at = np.flatnonzero(awaited)
    names, modules = (spans.texts(waits.row[at], key) for key in (schema.FOR, schema.FOR_MODULE))
    of_root = np.array([root is True for root in spans.values(activities.row[by[at]], schema.ROOT)], dtype=bool)
    at = at[~of_root & ~all_awaits(names, modules, f"{schema.FOR_HELD}|{schema.FOR_SIGNAL}")]
    return np.unique(_key(spans, activities.trace[of[at]], by[at]))


def _waiters(activities: Activities) -> Ints:
    """The activity of each wait."""
    return np.searchsorted(activities.vstart, activities.waits.vstart, side="right") - 1


def _given(spans: SpanTable, activities: Activities, request_rows: Ints) -> Ints:
    """The activities of one request that set an event for which others wait: nobody's turn came, if no request of its
    endpoint waits there itself. A pool made by hand of events is given by those who wait for it, too."""
    waits = activities.waits
    of = _waiters(activities)
    names, modules, calls = (spans.texts(waits.row, key) for key in (schema.FOR, schema.FOR_MODULE, schema.FOR_CALL))
    at = np.flatnonzero(all_awaits(names, modules, schema.FOR_EVENT) & (calls == ""))
    endpoints = _names(spans, request_rows)
    places = list(
        zip(*(spans.texts(waits.row[at], key) for key in (schema.CODE_FILE, schema.CODE_FUNCTION)), strict=True)
    )
    who = [endpoints.get(one) for one in activities.trace[of[at]].tolist()]
    there = {*zip(places, who, strict=True)}
    by = waits.waker[at]
    gives = [endpoints.get(one) for one in taken(activities.trace, by).tolist()]
    never = np.array([(place, one) not in there for place, one in zip(places, gives, strict=True)], dtype=bool)
    at, by = at[never & (by >= 0)], by[never & (by >= 0)]
    return np.unique(_key(spans, activities.trace[of[at]], by))


def _given_later(spans: SpanTable, activities: Activities, request_rows: Ints, rows: Ints) -> dict[int, str]:
    """By the row of a wait, of these: the request that came later and gave it, if none of its endpoint was
    there as the wait began, or as most of those began: nobody had what it waited for."""
    request_rows = request_rows[np.isin(spans.traces[request_rows], _served(spans, request_rows))]
    waits, names = activities.waits, _names(spans, request_rows)
    at = np.flatnonzero((waits.waker >= 0) & np.isin(waits.row, rows))
    gives = objects([names.get(one, "") for one in activities.trace[waits.waker[at]].tolist()])
    found = {}
    for name in {*gives.tolist()} - {""}:
        own, others = waits.row[at[gives == name]], request_rows[spans.names[request_rows] == name]
        begun, ended = (
            np.searchsorted(np.sort(moments[others]), spans.start[own], side="right")
            for moments in (spans.start, spans.end)
        )
        alone = begun == ended
        found.update(dict.fromkeys(own[alone | (alone.mean() > 0.5)].tolist(), f"until {name} came"))
    return found


def _key(spans: SpanTable, trace: Ints, activity: Ints) -> Ints:
    return trace * (len(spans.start) + 1) + activity


def _errors(spans: SpanTable, segments: Segments, facts: Facts) -> Ints:
    """Return the standard error of each sampled amount of GIL wait, and of each part of a wait whose end
    lies between two samples."""
    error = np.zeros(len(segments.part), dtype=np.int64)
    amount = segments.end - segments.start
    gil = np.flatnonzero((segments.part == GIL) & (facts.sampled >= 0))
    wait = np.flatnonzero(facts.ruled)
    wait = wait[spans.ints(facts.span[wait], schema.GIL_NS) < 0]  # else the error is that of the GIL wait
    for at, rows, whole in (
        (gil, facts.sampled[gil], spans.ints(facts.sampled[gil], schema.GIL_NS)),
        (wait, facts.span[wait], (spans.end - spans.start)[facts.span[wait]]),
    ):
        of_whole = np.maximum(spans.ints(rows, schema.ERROR_NS), 0)
        error[at] = np.rint(of_whole * (amount[at] / np.maximum(whole, 1))).astype(np.int64)
    return error
