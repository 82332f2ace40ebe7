"""Requests make clients and connections that could be kept.

|-- made --|-- name look-up --|-- connect --|-- TLS handshake --|---- answer ----|-- close --|
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from whywait.analysis.attribution.culprit_names import rows_of
from whywait.analysis.causes import Cause
from whywait.analysis.model import attribute
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_HELD, MIN_KNOWN
from whywait.analysis.situations.what_helps import KEPT, called, look_up
from whywait.tracer import schema

_IN_THREADS: Final = {
    "socket.getaddrinfo": schema.STEP_LOOK_UP, "socket.connect": schema.STEP_CONNECT, "ssl.do_handshake": schema.STEP_TLS,
}  # fmt: skip
_NUMBERS: Final = {
    "look_up_ns": schema.STEP_LOOK_UP, "connect_ns": schema.STEP_CONNECT, "tls_ns": schema.STEP_TLS, "close_ns": "close",
    "other_ns": "",
}  # fmt: skip
_WAITS: Final = (Cause.AWAIT_IO, Cause.BLOCKING_IO)
# what a request does itself; in the others it waits for some that make clients
_OWN: Final = (Cause.COMPUTE, Cause.GC_PAUSE)
_CONNECTS_IN_C: Final = frozenset({"grpc"})  # packages


def connecting(group: Group) -> Iterator[Pattern]:
    """Yield the clients that most requests made, where that took long, or their first call connects unseen; and what part
    of a wait for others passed in making connections, where most requests did."""
    yield from _clients(group)
    if not (causes := group.significant_of(*_WAITS)):
        return
    rows = pd.concat([group.of(cause) for cause in causes])
    rows = rows.assign(step=[_step(one) for one in group.attributes_of(rows)])
    made = rows[rows["step"] != ""]
    found = _numbers(group, rows, made)
    if found["share"] < MIN_HELD or found["making_ns"] < group.least_ns:
        return
    (longest,) = group.attributes_of(made.nlargest(1, "amount_ns"))
    keep = look_up(KEPT, called(longest))
    for cause in causes:
        own_ns, making_ns = (one.loc[one["cause"] == cause, "amount_ns"].sum() for one in (rows, made))
        if making_ns >= MIN_KNOWN * own_ns > 0 and not _stops_loop(group, cause):
            yield Pattern(Situation.CONNECTS, cause, {**found, "keep": keep})


def _stops_loop(group: Group, cause: Cause) -> bool:
    """Whether most of it passes on the event loop, which is to be mended first."""
    own = group.of(cause)
    on_loop = own.loc[group.kinds_of(own) == schema.KIND_TASK, "amount_ns"].sum()
    return cause is Cause.BLOCKING_IO and bool(on_loop * 2 >= own["amount_ns"].sum())


def _numbers(group: Group, rows: pd.DataFrame, made: pd.DataFrame) -> dict[str, float]:
    by_step = rows.groupby("step")["amount_ns"].sum() / group.count
    return {name: float(by_step.get(step, 0)) for name, step in _NUMBERS.items()} | {
        "making_ns": float(made["amount_ns"].sum()) / group.count,
        "whole_ns": float(by_step.sum()),
        "share": made["request_id"].nunique() / len(group.requests),
    }


def _step(attributes: dict[str, Any]) -> str:
    if attributes.get(schema.WAKER_KIND) == schema.WAKER_TIMER:  # a time limit: no connection came of it
        return ""
    if re.match(schema.CALL_CLOSES, called(attributes)):
        return _NUMBERS["close_ns"]
    step = _IN_THREADS.get(str(attributes.get(schema.FOR))) or str(attributes.get(schema.FOR_STEP) or "")
    return step if step in _NUMBERS.values() else ""


def _clients(group: Group) -> Iterator[Pattern]:
    spans = group.own_spans[attribute(group.own_spans, schema.PHASE) == schema.PHASE_CLIENT]
    if spans.empty or spans["trace_id"].nunique() < MIN_HELD * len(group.requests):
        return
    mean_ns = float((spans["end_ns"] - spans["start_ns"]).sum()) / len(group.requests)
    name = str(spans["name"].mode().iloc[0]).removeprefix(f"{schema.PHASE_CLIENT}: ")
    found = {"client": name, "per_request": len(spans) / len(group.requests), "mean_ns": mean_ns}
    for cause in (*_OWN, Cause.LOOP_BUSY, Cause.GIL_WAIT):
        is_most = cause not in _OWN or mean_ns >= MIN_KNOWN * group.means.get(cause, 0)
        if cause in group.significant and mean_ns >= group.least_ns and is_most:
            yield Pattern(Situation.CLIENT_PER_REQUEST, cause, found)
    makers = {*attribute(spans, schema.CODE_FUNCTION)}
    for cause in _WAITS:
        unseen = group.most_of(cause, lambda one: _connects_unseen(one, name, makers))
        if len(unseen) and not _stops_loop(group, cause):
            yield Pattern(Situation.CLIENT_PER_REQUEST, cause, found)


def _connects_unseen(attributes: dict[str, Any], client: str, makers: set[Any]) -> bool:
    """Whether a wait of who made the client is in code in C, which shows no step of a connection: a library's, or a system
    call that only samples saw."""
    package = attributes.get(schema.FOR_PACKAGE)
    if package in _CONNECTS_IN_C:
        return client.partition(".")[0] == package and attributes.get(schema.CODE_FUNCTION) in makers
    return not package and any(function in makers for function, *_ in rows_of(attributes, schema.CALLED))
