"""Requests compute: which function, where, how often, and whom it stopped."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.attribution.culprit_names import is_librarys, positive_ns, rows_of
from whywait.analysis.causes import Cause
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


def computing(group: Group) -> Iterator[Pattern]:
    """Yield the functions of the user that took most of the computing, the longest first, with the other requests, of all
    endpoints, that waited for each; none where computing is no reason."""
    own = group.culprits_of(Cause.COMPUTE)
    own = own[own["culprit_file"] != ""]
    if own.empty or Cause.COMPUTE not in group.significant:
        return
    whole_ns = group.means[Cause.COMPUTE] * group.count
    sums = own.groupby(["culprit", "culprit_file"])["ns"].sum().sort_values(ascending=False)
    chief = sums[sums >= SAID_SHARE * whole_ns].head(MOST_NAMED).reset_index().to_dict("records")
    at = ["request_id", "start_ns"]
    own = own.merge(group.causes[[*at, "activity_id", "span_name", "span_id"]], on=at)
    bare = {one: one.rpartition("/")[2] for one in {*own["activity_id"], *own["span_id"]}}
    around = group.spans.with_ids({*bare.values(), *own["culprit_span_id"]})
    of_threads = attribute(around, schema.WAKER_KIND).isin([schema.WAKER_THREAD, schema.WAKER_JOB])
    known = dict(
        zip(around["span_id"][::-1], zip(around["name"][::-1], around["attributes"][::-1], strict=True), strict=True)
    )
    elsewhere = {*around.loc[of_threads | (attribute(around, schema.KIND) == schema.KIND_JOB), "span_id"]}
    elsewhere = {one for one, span_id in bare.items() if span_id in elsewhere}
    asking = around.loc[attribute(around, schema.CALL_OF) != "", "span_id"]
    own["on_loop"] = ~(own["activity_id"].isin(elsewhere) | own["span_id"].isin(elsewhere))
    for one in chief:
        name, file, ns = str(one["culprit"]), str(one["culprit_file"]), float(one["ns"])
        rows = own[(own["culprit"] == name) & (own["culprit_file"] == file)]
        stopped = group.stopped.get((name, file), group.culprits[:0])
        stopped = stopped[stopped["culprit_trace_id"] != stopped["trace_id"]]
        lines = rows.groupby("culprit_line")["ns"].sum()
        on_loop = rows.loc[rows["on_loop"], "ns"].sum() * 2 >= ns
        shown = str(rows.groupby("span_name")["ns"].sum().idxmax())
        alike = rows[rows["span_name"] == shown]
        asks = alike[alike["culprit_span_id"].isin(asking)]  # others, while it computes: told where most do
        told = asks if asks["ns"].sum() * 2 >= alike["ns"].sum() else alike
        longest = told.iloc[int(told["ns"].argmax())]
        _, attributes = known.get(longest["culprit_span_id"], _UNKNOWN)
        shown, of_shown = known.get(bare[longest["span_id"]], _UNKNOWN)
        if of_shown.get(schema.WAIT) == schema.WAIT_LOOP_BUSY:  # for a task of its own, which computes
            shown, attributes = longest_block(group.own_spans, name, file)
            of_shown = attributes
        is_its = of_shown.get(schema.CODE_FUNCTION, name) == name
        on = "loop" if on_loop else "process" if attributes.get(schema.PROCESS) is True else "thread"
        often = " in most requests" if rows["request_id"].nunique() >= MIN_HELD * len(group.requests) else ""
        shown_in = _inside(shown, attributes, name) if is_its else ""
        shown_in = shown if of_shown.get(schema.KIND) == schema.KIND_PHASE and shown != name else shown_in
        after = _after(group, rows) if on_loop else ""
        less = f" Where it reads and uses the answer of {after}, ask for less at once (fewer fields or rows, pages)."
        stretches = rows["culprit_span_id"].mask(rows["culprit_span_id"] == "", rows["span_id"])
        found: dict[str, Any] = {
            "function": name, "file": file, "line": int(str(lines.idxmax())) if len(lines) else None,
            "inside": shown_in, "outside": is_outside(attributes), "mean_ns": ns / group.count, "share": ns / whole_ns,
            "per_request": stretches.nunique() / max(rows["request_id"].nunique(), 1),
            "stopped": stopped["request_id"].nunique(), "stopped_ns": int(stopped["ns"].sum()),
            "on": on, "after": after,
            "how": faster(on, name, file, attributes, shown_in, often) + less * bool(after),
        }  # fmt: skip
        yield Pattern(Situation.COMPUTES_ON_LOOP if on_loop else Situation.COMPUTES_IN_WORKER, None, found)


def _after(group: Group, rows: pd.DataFrame) -> str:
    """The await after which most of these stretches came of which no sample shows where they computed; "" where few did."""
    ran = np.array(
        [schema.RAN_NAMES in one or schema.FOR_PACKAGE in one for one in group.attributes_of(rows)], dtype=bool
    )
    spans = group.own_spans
    waits = spans[attribute(spans, schema.WAIT) == schema.WAIT_AWAIT]
    if waits.empty or ran.all():
        return ""
    waits = waits.assign(at=waits["end_ns"], of=attribute(waits, schema.ACTIVITY).astype(object), by=range(len(waits)))
    own = rows.loc[~ran].assign(at=rows["start_ns"])
    own["of"] = pd.Series([str(one).rpartition("/")[2] for one in own["activity_id"]], own.index, dtype=object)
    found = pd.merge_asof(own.sort_values("at"), waits.sort_values("at")[["at", "of", "by"]], on="at", by="of")
    found = found.dropna(subset="by")
    before = waits["attributes"].iloc[found["by"].astype(int)]
    calls = [f"{call} in {stands_in(one)}" if (call := one.get(schema.FOR_CALL)) else "" for one in before]
    sums = found["ns"].groupby(pd.Series(calls, found.index, dtype=object)).sum().drop("", errors="ignore")
    return str(sums.idxmax()) if len(sums) and sums.max() >= MIN_HELD * rows["ns"].sum() else ""


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
