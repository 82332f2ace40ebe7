"""What a timer around a job reads, against what the job computes: the rest it waits for the GIL, for a CPU and for log
handlers, whose holders wait for the same.

worker    |--runs--|~~~GIL~~~|--runs--|~~~~run queue~~~~|--runs--|
timer     |<----------------------- reads ----------------------->|
"""

from collections.abc import Iterator
from typing import Final

import pandas as pd

from whywait.analysis.causes import Cause
from whywait.analysis.model import attribute, named_by
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_MEAN_NS
from whywait.tracer import schema

TIMES: Final = 3.0  # what a timer reads, of what is computed: from here on it misleads
MOSTLY: Final = 0.5  # of what it reads, waited for these
_WAITS: Final = {Cause.GIL_WAIT, Cause.CPU_WAIT, Cause.POOL_QUEUE}  # of requests whose workers wait for these
_ASYNCIO: Final = (Cause.LOOP_BUSY, Cause.LOOP_WAKEUP, Cause.COLLECT_ORDER)
_NUMBERS: Final = {"own_ns": schema.CPU_NS, "gil_ns": schema.GIL_NS, "run_queue_ns": schema.RUN_QUEUE_NS}


def timers(group: Group) -> Iterator[Pattern]:
    """Yield the job in which a timer misleads most. `loop_share`: of the requests' time, waits for the loop, its wake-ups
    and the order of collection."""
    if not _WAITS & set(group.significant):
        return
    spans = group.own_spans
    runs = spans[attribute(spans, schema.KIND) == schema.KIND_RUN]
    measured = {name: pd.to_numeric(attribute(runs, key)).fillna(0.0) for name, key in _NUMBERS.items()}
    logging = spans[attribute(spans, schema.WAIT) == schema.WAIT_LOGGING]
    logged = (logging["end_ns"] - logging["start_ns"]).groupby(named_by(logging, schema.ACTIVITY)).sum()
    measured["logging_ns"] = named_by(runs, schema.ACTIVITY).map(logged).fillna(0.0)
    table = runs[["name"]].assign(read_ns=runs["end_ns"] - runs["start_ns"], **measured)
    sums = table.groupby("name").sum()
    misleads = (sums["read_ns"] >= TIMES * sums["own_ns"]) & (sums["own_ns"] > 0)
    waits_ns = sums["gil_ns"] + sums["run_queue_ns"] + sums["logging_ns"]
    sums = sums[misleads & (waits_ns >= MOSTLY * sums["read_ns"])]
    if sums.empty:
        return
    name = str(sums["read_ns"].idxmax())
    own = table[table["name"] == name]
    means = {key: float(own[key].mean()) for key in (*measured, "read_ns")}
    means["logging_ns"] *= means["logging_ns"] >= MIN_MEAN_NS  # less is not told
    if means["read_ns"] >= MIN_MEAN_NS:
        first = runs.loc[own.index[0], "attributes"]
        where = {"file": str(first.get(schema.CODE_FILE, "")), "line": first.get(schema.CODE_LINE)}
        share = sum(group.shares.get(cause, 0.0) for cause in _ASYNCIO)
        yield Pattern(Situation.TIMERS, None, {"function": name, **where, **means, "loop_share": share})
