"""Who answers what requests wait for: this service itself, or a server that does one thing at a time, and did another's;
and whose transaction probably had the row that a database's answer waited for.

long one   |-----------------eval-----------------|
these           |~~~~~~~~~~~~get~~~~~~~~~~~~~~~~~~~~|
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.attribution.culprit_names import is_users
from whywait.analysis.causes import Cause
from whywait.analysis.grouped import columns
from whywait.analysis.model import attribute
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_HELD
from whywait.analysis.situations.what_helps import called, stands_in, waits_for_news
from whywait.analysis.spans.awaited import is_of
from whywait.tracer import schema

_NEAR: Final = 0.1  # of a wait: so close to the end of the other's
_LONG_NS: Final = 20_000_000  # shorter waits for a database do not tell who ended them
_BEFORE_NS, _AFTER_NS = 1_000_000, 5_000_000  # their end: that of the request whose transaction it was
_ELSEWHERE: Final = 0.38  # of a wait, where no equal turns end
_MOST: Final = 500  # waits of an endpoint, the longest
_BY_CHANCE: Final = 0.3  # of these: such a request ended there, too, in more of the waits


def asks_itself(group: Group) -> Iterator[Pattern]:
    """Yield the address of this service that its own requests, or those they wait behind, ask over HTTP."""
    addresses = group.spans.once(_addresses)
    for cause in group.significant:
        waits, ahead = group.of(cause), group.behind(cause)
        keys, amounts = (waits["span_id"], waits["amount_ns"]) if ahead.empty else (ahead["at"], ahead["ns"])
        asks: Counter[tuple[str, str]] = Counter()
        for key, ns in zip(keys, amounts, strict=True):
            at = group.attributes.get(key, {})
            address = str(at.get(schema.FOR_ADDRESS) or "")
            if address.rpartition(" ")[2] in addresses:
                asks[address, stands_in(at)] += ns
        if asks.total() >= max(MIN_HELD * amounts.sum(), 1):
            ((address, where), _), *_ = asks.most_common(1)
            yield Pattern(Situation.ASKS_ITSELF, cause, {"address": address, "where": where})


def served_in_turn(group: Group) -> Iterator[Pattern]:
    """Yield the command of other code for which most waits for a server that does one at a time had to wait: it began before
    them in another request, and they ended with it."""
    if (own := group.most_of(Cause.AWAIT_IO, _in_turn)).empty:
        return
    spans = group.spans.once(_served)
    starts, ends = (spans[key].to_numpy(np.int64) for key in ("start_ns", "end_ns"))
    traces, attributes = list(spans["trace_id"]), list(spans["attributes"])
    behind: Counter[tuple[str, str]] = Counter()
    for trace, start, end, ns in own[["trace_id", "start_ns", "end_ns", "amount_ns"]].itertuples(index=False):
        first, last = np.searchsorted(ends, (end + (start - end) * _NEAR, end + (end - start) * _NEAR))
        longest = first + int(starts[first:last].argmin()) if last > first else None
        if longest is not None and starts[longest] < start and traces[longest] != trace:
            behind[attributes[longest][schema.FOR_CALL], stands_in(attributes[longest])] += ns
    here = {stands_in(found) for found in group.attributes_of(own)}
    for (call, where), ns in behind.most_common(1):
        if (share := float(ns / own["amount_ns"].sum())) >= MIN_HELD and where not in here:
            yield Pattern(Situation.SERVED_IN_TURN, Cause.AWAIT_IO, {"what": f"{call} in {where}", "share": share})


def rows_held(group: Group) -> Iterator[Pattern]:
    """Yield the requests, of any process, that ended when most long waits for a database did, and hardly at another time, though
    they had begun before; and where they stood longest meanwhile."""
    if (own := group.most_of(Cause.AWAIT_IO, lambda found: is_of(found, schema.PACKAGE_DATABASE))).empty:
        return
    by_call = own.groupby(["trace_id", "activity_id", "detail"])  # which may wait in slices
    waits = columns(by_call, start=("start_ns", "min"), end=("end_ns", "max"), ns=("amount_ns", "sum")).reset_index()
    waits = waits[waits["ns"] >= _LONG_NS]
    if waits.empty:
        return
    roots, let_go = group.spans.once(_roots), group.spans.once(_let_go)
    here = {stands_in(found) for found in group.attributes_of(own)}
    names, ends, starts, traces = (roots[key].to_numpy() for key in ("of", "end_ns", "start_ns", "trace_id"))
    ended, of = Counter[str](), dict(zip(traces, names, strict=True))
    by_chance, others = 0, set()
    for trace, start, end, ns in waits[["trace_id", "start", "end", "ns"]].to_numpy().tolist():
        for at in (end, start + int(_ELSEWHERE * (end - start))):
            near = range(*np.searchsorted(ends, (at - _BEFORE_NS, at + _AFTER_NS)).tolist())
            near_by = [one for step in (-1, 0, 1) for one in let_go.get(at // _AFTER_NS + step, ())]
            since, ahead, where = min(near_by, default=(start, trace, ""))
            same = {trace} | {one for _, one, _ in near_by}
            found = {(names[row], traces[row]) for row in near if starts[row] < start and traces[row] not in same}
            if since < start - _LONG_NS and where not in here:  # it was first, and waited for something else
                found.add((of.get(ahead, ""), ahead))
            if at == end:
                ended.update(dict.fromkeys((name for name, _ in found), ns))
                others |= found
            else:
                by_chance += ns * bool(found)
    for name, ns in ended.most_common(1):
        if ns >= MIN_HELD * own["amount_ns"].sum() and by_chance <= _BY_CHANCE * ns:
            stood = Counter({name: 0})
            there = group.spans.of(one for of, one in others if of == name)
            there = there[attribute(there, schema.KIND) == schema.KIND_WAIT]
            for found, lasted_ns in zip(there["attributes"], there["end_ns"] - there["start_ns"], strict=True):
                if is_users(str(found.get(schema.CODE_FILE, ""))) and (place := stands_in(found)) not in here:
                    stood[place] += lasted_ns
            said = {"who": name, "share": ns / own["amount_ns"].sum(), "where": stood.most_common(1)[0][0]}
            yield Pattern(Situation.ROW_HELD, Cause.AWAIT_IO, said)


def stood_ahead(group: Group, task: str) -> str:
    """Return the other endpoint whose requests, begun before, stood before the same task for most of the time in which these
    did; "" without one."""
    every = group.spans.once(_before_tasks)
    every = every[every["task"] == task]
    is_own = every["trace_id"].isin(group.requests["trace_id"])
    own, sums = every[is_own].nlargest(_MOST, "ns"), Counter[str]()
    for name, others in every[~is_own].groupby("of"):
        starts, ends = (others.nlargest(_MOST, "ns")[key].to_numpy(np.int64) for key in ("start_ns", "end_ns"))
        for start, end in own[["start_ns", "end_ns"]].itertuples(index=False):
            sums[str(name)] += int(((np.minimum(ends, end) - start) * (starts < start)).max().clip(min=0))
    return next((name for name, ns in sums.most_common(1) if ns >= MIN_HELD * own["ns"].sum() and name), "")


def _before_tasks(spans: pd.DataFrame) -> pd.DataFrame:
    """When each request stood before a task of no request, from first to last, and `of` which endpoint it is."""
    waits = spans[["trace_id", "start_ns", "end_ns"]].assign(task=attribute(spans, schema.FOR_TASK))
    by_request = waits[waits["task"] != ""].groupby(["task", "trace_id"])
    stood = columns(by_request, start_ns=("start_ns", "min"), end_ns=("end_ns", "max")).reset_index()
    names = _roots(spans).drop_duplicates("trace_id").set_index("trace_id")["of"]
    return stood.assign(ns=stood["end_ns"] - stood["start_ns"], of=stood["trace_id"].map(names).fillna(""))


def _addresses(spans: pd.DataFrame) -> set[str]:
    """Those of this service, "host:port", by all the names of its host."""
    own = {*zip(*(attribute(spans, key) for key in ("server.address", "server.port")), strict=True)}
    here = schema.HOSTS_HERE
    return {f"{name}:{port}" for host, port in own if port for name in (here if host in here else (host,))}


def _served(spans: pd.DataFrame) -> pd.DataFrame:
    """The commands of servers that do one at a time, in order of their ends."""
    spans = spans[attribute(spans, schema.FOR_PACKAGE).str.match(schema.PACKAGE_IN_TURN)]
    return spans[[_in_turn(found) for found in spans["attributes"]]].sort_values("end_ns")


def _roots(spans: pd.DataFrame) -> pd.DataFrame:
    """The tasks of requests, and `of` which, in order of their ends."""
    roots = spans[attribute(spans, schema.ROOT).eq(True)].sort_values("end_ns")
    around = spans[spans["span_id"].isin(roots["parent_id"])]
    names = dict(zip(around["span_id"], around["name"], strict=True))
    return roots.assign(of=roots["parent_id"].map(names).fillna(""))


def _let_go(spans: pd.DataFrame) -> dict[int, list[tuple[int, str, str]]]:
    """The long waits for a database that ended together, by when: since when, of which trace, and where. None of them had what
    the others waited for, but the first of them, as where a statement waits for a lock on a table, and others behind it."""
    asks = spans[attribute(spans, schema.FOR_PACKAGE).str.match(schema.PACKAGE_DATABASE)]
    asks = asks[asks["end_ns"] - asks["start_ns"] >= _AFTER_NS]
    found: dict[int, list[tuple[int, str, str]]] = defaultdict(list)
    for trace, start, end, attributes in asks[["trace_id", "start_ns", "end_ns", "attributes"]].itertuples(index=False):
        found[end // _AFTER_NS].append((start, trace, stands_in(attributes)))
    return found


def _in_turn(attributes: dict[str, Any]) -> bool:
    return re.match(schema.PACKAGE_IN_TURN, called(attributes)) is not None and not waits_for_news(attributes)
