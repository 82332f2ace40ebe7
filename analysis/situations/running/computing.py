"""Requests compute: which function, where, how often, and whom it stopped."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, Final, NamedTuple

import pandas as pd

from whywait.analysis.attribution.culprit_names import is_librarys, positive_ns, rows_of
from whywait.analysis.causes import Cause
from whywait.analysis.grouped import sums
from whywait.analysis.model import attribute
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import COLD_AMONG, COLD_NS, MIN_HELD, MIN_MEAN_NS
from whywait.analysis.situations.what_helps import faster, is_frameworks, is_outside, stands_in
from whywait.analysis.spans.held_loop import longest_block
from whywait.analysis.text import named_at
from whywait.tracer import schema

NAMED_SHARE: Final = 0.1  # of the wall time, from which computing with a name is a reason
SAID_SHARE: Final = 0.1  # of the computing, from which a function is named
MOST_NAMED: Final = 3
_UNKNOWN: Final[tuple[str, dict[str, Any]]] = "", {}
STOPPED: Final = (Cause.LOOP_BUSY, Cause.GIL_WAIT, Cause.COLLECT_ORDER)


def is_named(
    culprits: pd.DataFrame,
    causes: pd.DataFrame,
    attributes: Mapping[str, dict[str, Any]],
    requests: float,
    mean_wall_ns: float,
) -> bool:
    """Return whether so much computing has the name of a function that it is a reason.

    What a framework computes in few requests is none: each of its calls takes some milliseconds the first time.
    """
    named = culprits[(culprits["cause"] == Cause.COMPUTE) & (culprits["culprit_file"] != "")]
    if requests < COLD_AMONG and len(named):
        computing = causes[(causes["cause"] == Cause.COMPUTE) & (causes["amount_ns"] < COLD_NS)]
        first = [is_frameworks(attributes.get(one, {})) for one in computing["span_id"]]
        named = named[~named["start_ns"].isin(computing.loc[first, "start_ns"])]
    named_ns = named["ns"].sum()
    return bool(named_ns >= max(NAMED_SHARE * mean_wall_ns, MIN_MEAN_NS) * requests)


class _Stretch(NamedTuple):
    """A row of `culprits`, with where its cause was."""

    request_id: str
    start_ns: int
    ns: float
    line: Any
    culprit_span_id: str
    activity: str  # bare ids
    span: str
    shown: str
    identity: str  # of the span


def computing(group: Group) -> Iterator[Pattern]:
    """Yield the functions of the user that took most of the computing, the longest first, with the other requests, of all
    endpoints, that waited for each; none where computing is no reason."""
    if Cause.COMPUTE not in group.significant:
        return
    whole_ns = group.means[Cause.COMPUTE] * group.count
    stretches = _stretches(group)
    took = {one: sum(row.ns for row in rows) for one, rows in stretches.items()}
    chief = [one for one in sorted(took, key=lambda one: -took[one]) if took[one] >= SAID_SHARE * whole_ns][:MOST_NAMED]
    ids = {one for key in chief for row in stretches[key] for one in (row.activity, row.span, row.culprit_span_id)}
    around = group.spans.with_ids(ids)
    told = list(zip(around["span_id"], around["name"], around["attributes"], strict=True))
    known = {span_id: (name, attributes) for span_id, name, attributes in reversed(told)}
    elsewhere = {span_id for span_id, _, attributes in told if _is_elsewhere(attributes)}
    asking = {span_id for span_id, _, attributes in told if attributes.get(schema.CALL_OF)}
    for name, file in chief:
        rows, ns = stretches[name, file], took[name, file]
        stopped = group.stopped.get((name, file), group.culprits[:0])
        stopped = stopped[stopped["culprit_trace_id"] != stopped["trace_id"]]
        # where most of a block was another's, that tells what the other called
        its = [row for row in rows if known.get(row.span, _UNKNOWN)[1].get(schema.CODE_FUNCTION, name) == name]
        line, shown = _most(rows, "line"), _most(its or rows, "shown")
        on_loop = 2 * sum(row.ns for row in rows if elsewhere.isdisjoint((row.activity, row.span))) >= ns
        alike = [row for row in rows if row.shown == shown]
        asks = [row for row in alike if row.culprit_span_id in asking]  # others, while it computes: told where most do
        longest = max(
            asks if 2 * sum(row.ns for row in asks) >= sum(row.ns for row in alike) else alike, key=lambda row: row.ns
        )
        _, attributes = known.get(longest.culprit_span_id, _UNKNOWN)
        shown, of_shown = known.get(longest.span, _UNKNOWN)
        if of_shown.get(schema.WAIT) == schema.WAIT_LOOP_BUSY:  # for a task of its own, which computes
            shown, attributes = longest_block(group.own_spans, name, file)
            of_shown = attributes
        is_its = of_shown.get(schema.CODE_FUNCTION, name) == name
        on = "loop" if on_loop else "process" if attributes.get(schema.PROCESS) is True else "thread"
        computed = len({row.request_id for row in rows})
        often = " in most requests" if computed >= MIN_HELD * len(group.requests) else ""
        shown_in = _inside(shown, attributes, name) if is_its else ""
        shown_in = shown if of_shown.get(schema.KIND) == schema.KIND_PHASE and shown != name else shown_in
        after = _after(group, rows) if on_loop else ""
        less = f" Where it reads and uses the answer of {after}, ask for less at once (fewer fields or rows, pages)."
        found: dict[str, Any] = {
            "function": name, "file": file, "line": line, "inside": shown_in, "outside": is_outside(attributes),
            "mean_ns": ns / group.count, "share": ns / whole_ns,
            "per_request": len({row.culprit_span_id or row.span for row in rows}) / computed,
            "stopped": stopped["request_id"].nunique(), "stopped_ns": int(stopped["ns"].sum()),
            "on": on, "after": after,
            "how": faster(on, name, file, attributes, shown_in, often) + less * bool(after),
        }  # fmt: skip
        yield Pattern(Situation.COMPUTES_ON_LOOP if on_loop else Situation.COMPUTES_IN_WORKER, None, found)


def _stretches(group: Group) -> dict[tuple[str, str], list[_Stretch]]:
    """What is known of each function of the user that computed, by its name and file. Plain records: most endpoints have
    few rows, for which a table costs milliseconds."""
    causes, own = group.of(Cause.COMPUTE), group.culprits_of(Cause.COMPUTE)
    own = own[own["culprit_file"] != ""]
    at = {
        (request_id, start_ns): (activity.rpartition("/")[2], span_id.rpartition("/")[2], name, span_id)
        for request_id, start_ns, activity, span_id, name in zip(
            *(causes[key] for key in ("request_id", "start_ns", "activity_id", "span_id", "span_name")), strict=True
        )
    }
    keys = ("culprit", "culprit_file", "request_id", "start_ns", "ns", "culprit_line", "culprit_span_id")
    found: dict[tuple[str, str], list[_Stretch]] = defaultdict(list)
    for name, file, request_id, start_ns, ns, line, culprit_span_id in zip(
        *(own[key].tolist() for key in keys), strict=True
    ):
        if where := at.get((request_id, start_ns)):
            number = None if pd.isna(line) else int(line)
            found[name, file].append(_Stretch(request_id, start_ns, ns, number, culprit_span_id, *where))
    return found


def _most(rows: list[_Stretch], of: str) -> Any:
    """What has most of the time; None where that is not known of any."""
    found = sums((getattr(row, of) for row in rows), (row.ns for row in rows))
    return max((one for one in found if one is not None), key=found.__getitem__, default=None)


def _is_elsewhere(attributes: dict[str, Any]) -> bool:
    """Not on the loop."""
    return (
        attributes.get(schema.WAKER_KIND) in (schema.WAKER_THREAD, schema.WAKER_JOB)
        or attributes.get(schema.KIND) == schema.KIND_JOB
    )


def _after(group: Group, rows: list[_Stretch]) -> str:
    """The await after which most of these stretches came of which no sample shows where they computed; "" where few did."""
    shows = {schema.RAN_NAMES, schema.FOR_PACKAGE}
    silent = [row for row in rows if shows.isdisjoint(group.attributes.get(row.identity, ()))]
    if not silent:
        return ""
    spans = group.own_spans
    waits = spans[attribute(spans, schema.WAIT) == schema.WAIT_AWAIT].sort_values("end_ns")
    ended: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for of, *end in zip(attribute(waits, schema.ACTIVITY), waits["end_ns"], waits["attributes"], strict=True):
        ended[of].append((end[0], end[1]))
    calls = []
    for row in silent:
        before = ended.get(row.activity, [])
        at = bisect_right(before, row.start_ns, key=itemgetter(0))
        one = before[at - 1][1] if at else {}
        calls.append(f"{call} in {stands_in(one)}" if (call := one.get(schema.FOR_CALL)) else "")
    found = sums(calls, (row.ns for row in silent))
    found.pop("", None)
    chief = max(found, key=found.__getitem__, default="")
    return chief if chief and found[chief] >= MIN_HELD * sum(row.ns for row in rows) else ""


def spins(group: Group) -> Iterator[Pattern]:
    """Yield the function in which tasks of the requests did little more than yield, again and again, where that takes much."""
    if Cause.COMPUTE not in group.significant:
        return
    own = group.own_spans
    turning = own.loc[attribute(own, schema.TURNED_NS) != "", "attributes"]
    tasks = sorted(turning, key=lambda one: -positive_ns(one[schema.TURNED_NS]))
    turned_ns, steps = (sum(positive_ns(one.get(key)) for one in tasks) for key in (schema.TURNED_NS, schema.STEPS))
    if turned_ns < max(SAID_SHARE * group.mean_wall_ns, MIN_MEAN_NS) * len(group.requests):
        return
    for function, file, line, _ in rows_of(tasks[0], schema.RAN)[:1]:
        sums = {"times": steps / len(group.requests), "mean_ns": turned_ns / len(group.requests)}
        yield Pattern(Situation.SPINS, None, {"where": named_at(function, file, line), **sums})


def _inside(shown: str, attributes: dict[str, Any], function: str) -> str:
    """What the user's function called of a library, as most samples show. A block's name says what its samples show, also
    where that is a library's function and another one is to blame."""
    if call := attributes.get(schema.FOR_CALL):
        return f"{call} ({attributes.get(schema.FOR_PACKAGE)})"
    found = shown.removeprefix(schema.BLOCK_SPAN_PREFIX)
    said = found if found != function and (found != shown or is_librarys(attributes)) else ""
    return f"{said} ({package})" if said and (package := attributes.get(schema.FOR_PACKAGE)) else said
