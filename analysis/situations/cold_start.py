"""The first requests of a process take longer than those after them."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from whywait.analysis.attribution.culprit_names import in_library
from whywait.analysis.causes import Cause
from whywait.analysis.situations.holders.what_holders_did import FOLLOWED
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import COLD, COLD_AMONG, COLD_CHANCE, COLD_FIRST, COLD_NS
from whywait.analysis.situations.waits.calls_and_limits import of_all_requests
from whywait.tracer import schema

_BY_A_REQUEST: Final = ", by a request of the service to itself (no code of its own does it)"


def cold_start(group: Group) -> Iterator[Pattern]:
    """Yield the first requests, at most a tenth of all, where each took COLD times as long as the median,
    and those after them hardly ever."""
    requests = group.requests.sort_values("start_ns")
    walls = requests["wall_ns"].to_numpy(dtype=np.float64)
    slow = walls >= max(COLD * np.median(walls), np.median(walls) + COLD_NS)
    first = int(np.argmin(slow)) if not slow.all() else 0
    if len(walls) < COLD_AMONG or not 0 < first <= COLD_FIRST * len(walls):
        return
    starts = requests["start_ns"].to_numpy()[:first]
    # what overlaps shares its cause
    events = 1 + np.sum(starts[1:] >= np.maximum.accumulate(starts + walls[:first])[:-1])
    if np.mean(walls[first:] >= 0.8 * walls[:first].min()) ** events > COLD_CHANCE:  # now and then it takes as long
        return
    cold = group.causes["request_id"].isin(requests["request_id"].head(first))
    sums = [group.causes[rows].groupby("cause")["amount_ns"].sum() for rows in (cold, ~cold)]
    chief = (sums[0] / first).sub(sums[1] / max(group.count - first, 1), fill_value=0).idxmax()
    if chief == Cause.CPU_WAIT:  # others had the CPUs then
        return
    of_chief = group.causes["cause"] == chief
    chiefs = group.causes[cold & of_chief]
    _, _, once = group.spans.once(of_all_requests)
    served = [schema.FOR_TURNS in one and one.get(schema.FOR_TASK) not in once for one in group.attributes_of(chiefs)]
    if chiefs.loc[served, "amount_ns"].sum() * 2 >= chiefs["amount_ns"].sum():  # a queue, which others had filled
        return
    by_detail = chiefs.groupby("detail")["amount_ns"].sum()
    # a queue that those after them stand in, too: who came first was served last; or what blocks others now and then
    later = group.causes[~cold & of_chief & (group.causes["detail"] == by_detail.idxmax())]
    as_long = later.groupby("request_id")["amount_ns"].sum() * 2 >= by_detail.max() / first
    if chief in FOLLOWED and (later["amount_ns"].sum() >= COLD_NS * (group.count - first) or as_long.sum() >= first):
        return
    found: dict[str, Any] = {
        "requests": first,
        "mean_ns": float(walls[:first].mean()),
        "others_ns": float(walls[first:].mean()),
    }
    found["decides"] = bool(2 * sums[0].max() >= sum(one.get(str(chief), 0) for one in sums))
    named = group.culprits_of(Cause(str(chief)))
    theirs = named[named["request_id"].isin(requests["request_id"].head(first))]
    by_file = theirs["ns"].groupby(theirs["culprit_file"]).sum()
    how = _BY_A_REQUEST * (not by_file.empty and in_library(str(by_file.idxmax())))
    yield Pattern(Situation.COLD_START, Cause(str(chief)), {**found, "detail": str(by_detail.idxmax()), "how": how})
