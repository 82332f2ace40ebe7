"""The event loop is blocked: by few requests for many others, or by work of no request."""

from collections.abc import Iterator
from typing import Any, Final

from whywait.analysis.attribution.culprit_names import is_users, positive_ns
from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MANY_TURNS, MIN_HELD, SHORT_TURN_NS
from whywait.analysis.situations.what_helps import FEWER_TASKS, MORE_LOOPS
from whywait.analysis.text import named_at
from whywait.tracer import schema

FACTOR: Final = 2  # blocked requests per blocking request, at least
MOST_HOLDERS: Final = 3
_WHO: Final = ["culprit", "culprit_file", "culprit_line"]


def loop_turns(group: Group) -> Iterator[Pattern]:
    """Yield how many turns of other requests, or of tasks of no request, each waited for, and how long each took, where most
    of that were short ones."""
    waits = group.culprits_of(Cause.LOOP_BUSY)
    short = waits[(waits["ns"] < SHORT_TURN_NS) & (waits["culprit_trace_id"] != "")]
    whole_ns = group.means.get(Cause.LOOP_BUSY, 0.0) * group.count
    if Cause.LOOP_BUSY not in group.significant:
        return
    times, ns, whose, how = float(len(short)), short["ns"].sum(), "other requests", MORE_LOOPS
    own, chief = group.of(Cause.LOOP_BUSY), waits[waits["culprit_trace_id"] == ""].groupby(_WHO)["ns"].sum()
    turns = own.assign(times=[positive_ns(one.get(schema.BLOCKER_COUNT)) for one in group.attributes_of(own)])
    turns = turns[(turns["times"] >= MANY_TURNS) & (turns["amount_ns"] < SHORT_TURN_NS * turns["times"])]
    if ns < MIN_HELD * whole_ns <= chief.max():
        at: Any = chief.idxmax()
        times, ns = float(turns["times"].sum()), turns["amount_ns"].sum()
        whose, how = f"tasks of no request ({named_at(*at)})", FEWER_TASKS
    if ns >= MIN_HELD * whole_ns:
        found = {"times": times / len(group.requests), "mean_ns": float(ns) / times, "whose": whose, "how": how}
        yield Pattern(Situation.LOOP_TURNS, Cause.LOOP_BUSY, found)


def loop_blocked(group: Group) -> Iterator[Pattern]:
    """Yield the counts of traced requests where the blocked are far more than the blockers; where nothing else is
    told, also work of no request (a callback, a background task) that held the loop."""
    waits = group.of(Cause.LOOP_BUSY)
    waits = waits[waits["culprit_trace_id"] != ""]
    blockers, blocked = waits["culprit_trace_id"].nunique(), waits["request_id"].nunique()
    if blockers and blocked > FACTOR * blockers:
        yield Pattern(Situation.LOOP_BLOCKED, None, {"blockers": blockers, "blocked": blocked})
    if not group.significant:
        # what no sample met, or a library's code, and held it once did so by chance: the collector, or another process
        by_chance = (group.held["times"] == 1) & ~group.held["file"].map(is_users).astype(bool)
        held: list[dict[Any, Any]] = group.held[~by_chance].head(MOST_HOLDERS).to_dict("records")
        yield from (Pattern(Situation.LOOP_HELD, None, one) for one in held)
