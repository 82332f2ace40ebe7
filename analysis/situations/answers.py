"""The answers: failures by status, with times of their own; and last bytes that lay in the kernel."""

import re
from collections.abc import Iterator
from typing import Final

import pandas as pd

from whywait.analysis.measure.weights import percentiles, weights_of
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.tracer import schema

MOST: Final = 3  # statuses, the most frequent first
NAGLE_SHARE: Final = 0.1  # of the traced requests
STREAM_SHARE: Final = 0.1  # of them, and of the felt time, between the first part of a response and the last
_CLIENT_ERROR: Final = 400


def answers(group: Group) -> Iterator[Pattern]:
    """Yield each status of failure ("an error" where it is not known), the most frequent first: requests with felt times
    of their own, ns; then how many traced answers' last bytes waited for the client's ACK (Nagle); and how many came in
    parts, with the times to the first part and from there to the last, ns."""
    requests, weights = group.requests, weights_of(group.requests)
    codes = requests["status_code"].astype("Int64")
    is_status = (codes >= _CLIENT_ERROR).fillna(value=False)
    failed = requests["error"].astype(bool) | is_status
    if failed.any():
        yield from _failures(group, failed, codes.astype("string").where(is_status, "an error").where(failed, ""))
    held = int(requests["nagle"].sum())
    if held > NAGLE_SHARE * len(requests):
        yield Pattern(Situation.NAGLE, None, {"answers": held})
    rest_ns = requests["wall_ns"] - requests["first_byte_ns"]
    is_stream = in_parts(requests)
    if is_stream.sum() > STREAM_SHARE * len(requests):
        own = weights[is_stream]
        first, rest = (percentiles(of[is_stream], own, (50, 99)) for of in (requests["first_byte_ns"], rest_ns))
        told = {"first_p50_ns": int(first[0]), "first_p99_ns": int(first[1]), "rest_p50_ns": int(rest[0])}
        yield Pattern(Situation.STREAMED, None, {"answers": int(is_stream.sum()), **told})


def in_parts(requests: pd.DataFrame) -> "pd.Series[bool]":
    """Return whose answers took much of their time between the first part and the last."""
    rest_ns = requests["wall_ns"] - requests["first_byte_ns"]
    return (requests["first_byte_ns"] > 0) & (rest_ns > STREAM_SHARE * requests["wall_ns"])


def _failures(group: Group, failed: "pd.Series[bool]", status: "pd.Series[str]") -> Iterator[Pattern]:
    requests, weights = group.requests, weights_of(group.requests)
    times = {
        str(name): [int(ns) for ns in percentiles(own["wall_ns"], weights[own.index], (50, 99))]
        for name, own in requests.groupby(status)
    }
    counts = weights[failed].groupby(status[failed]).sum().sort_values(ascending=False, kind="stable")
    for name, count in zip(map(str, counts.index), counts.head(MOST), strict=False):
        errors = requests.loc[(status == name) & ~requests["error_type"].isin(["", name]), "error_type"]
        chief = str(errors.mode().iloc[0]) if len(errors) else ""
        p50, p99 = times[name]
        found = {"status": name, "error": chief, "requests": round(count), "of": round(group.count)}
        found |= {"p50_ns": p50, "p99_ns": p99, "others_p50_ns": times.get("", [0])[0]}  # of those that did not fail
        yield Pattern(Situation.FAILED_REQUESTS, None, found)


def messages_in_turn(group: Group) -> Iterator[Pattern]:
    """Yield that requests are a websocket's messages, where these wait: one ends as the next is asked for, and what comes
    meanwhile on its connection is taken to arrive then."""
    if re.match(schema.OF_MESSAGES, group.endpoint) and group.significant:
        yield Pattern(Situation.MESSAGES_IN_TURN, None, {})


def never_ended(group: Group) -> Iterator[Pattern]:
    """Yield how many requests had not ended when they were recorded, and for how long the longest had been open."""
    own = group.requests[group.requests["unfinished"]]
    if len(own):
        yield Pattern(Situation.UNFINISHED, None, {"requests": len(own), "longest_ns": int(own["wall_ns"].max())})
