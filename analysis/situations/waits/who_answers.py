"""Who answers what requests wait for: this service itself, or a server that does one thing at a time, and did another's.

long one   |-----------------eval-----------------|
these           |~~~~~~~~~~~~get~~~~~~~~~~~~~~~~~~~~|
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from whywait.analysis.causes import Cause
from whywait.analysis.model import attribute
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_HELD
from whywait.analysis.situations.what_helps import called, stands_in, waits_for_news
from whywait.tracer import schema

_NEAR: Final = 0.1  # of a wait: so close to the end of the other's


def asks_itself(group: Group) -> Iterator[Pattern]:
    """Yield the address of this service that its own requests, or those they wait behind, ask over HTTP."""
    for cause in group.significant:
        waits, ahead = group.of(cause), group.behind(cause)
        keys, amounts = (waits["span_id"], waits["amount_ns"]) if ahead.empty else (ahead["at"], ahead["ns"])
        asks: Counter[tuple[str, str]] = Counter()
        for key, ns in zip(keys, amounts, strict=True):
            at = group.attributes.get(key, {})
            address = str(at.get(schema.FOR_ADDRESS) or "")
            if address.rpartition(" ")[2] in group.spans.addresses:
                asks[address, stands_in(at)] += ns
        if asks.total() >= max(MIN_HELD * amounts.sum(), 1):
            ((address, where), _), *_ = asks.most_common(1)
            yield Pattern(Situation.ASKS_ITSELF, cause, {"address": address, "where": where})


def served_in_turn(group: Group) -> Iterator[Pattern]:
    """Yield the command of other code for which most waits for a server that does one at a time had to wait: it began before
    them in another request, and they ended with it."""
    if (own := group.most_of(Cause.AWAIT_IO, _in_turn)).empty:
        return
    spans = group.spans.all
    spans = spans[attribute(spans, schema.FOR_PACKAGE).str.match(schema.PACKAGE_IN_TURN)]
    spans = spans[[_in_turn(found) for found in spans["attributes"]]].sort_values("end_ns")
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


def _in_turn(attributes: dict[str, Any]) -> bool:
    return re.match(schema.PACKAGE_IN_TURN, called(attributes)) is not None and not waits_for_news(attributes)
