"""Tasks that run together, of which one takes much longer than the others.

item 1   |--23 ms--|
item 2   |--23 ms--|
item 3   |------------------300 ms------------------|
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from whywait.analysis.causes import Cause
from whywait.analysis.grouped import columns
from whywait.analysis.model import attribute, span_id_of
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_HELD
from whywait.tracer import schema

_FEWEST: Final = 3  # tasks together
_LONGER: Final = 3.0  # than half of them took
_CAUSES: Final = (Cause.AWAIT_IO, Cause.BLOCKING_IO)


def stragglers(group: Group) -> Iterator[Pattern]:
    """Yield for a significant wait the tasks of which the last one to end had most of it, long after half had ended: those of
    one spawner that ran beside the last."""
    causes = group.significant_of(*_CAUSES)
    if not causes:
        return
    spans = group.own_spans
    tasks = spans[attribute(spans, schema.KIND) == schema.KIND_TASK]
    if len(tasks) < _FEWEST:
        return
    tasks = tasks.assign(by=attribute(tasks, schema.SPAWNED_BY))[
        ["trace_id", "by", "name", "span_id", "start_ns", "end_ns"]
    ]
    tasks = tasks.dropna(subset="by")
    tasks["last"] = tasks.groupby(["trace_id", "by"])["end_ns"].transform("idxmax").astype(np.int64)
    together = tasks[tasks["end_ns"] > tasks["start_ns"].reindex(tasks["last"]).to_numpy(np.int64)]
    found = columns(
        together.groupby("last"),
        items=("span_id", "size"), start_ns=("start_ns", "min"), half=("end_ns", "median"), end_ns=("end_ns", "max"),
    ).reset_index()  # fmt: skip
    found["last_ns"] = found["end_ns"] - found["start_ns"]
    found["half_ns"] = found["half"] - found["start_ns"]
    found = found[(found["items"] >= _FEWEST) & (found["last_ns"] >= _LONGER * found["half_ns"])]
    found["name"] = tasks["name"].reindex(found["last"]).to_numpy()
    last = set(tasks.loc[found["last"], ["trace_id", "span_id"]].itertuples(index=False, name=None))
    for cause in causes:
        own = group.of(cause)
        is_last = [
            (trace, span_id_of(trace, one)) in last
            for trace, one in zip(own["trace_id"], own["activity_id"], strict=True)
        ]
        of_last = own.loc[is_last, "amount_ns"].sum()
        if of_last >= MIN_HELD * own["amount_ns"].sum():
            name = str(found["name"].mode()[0])
            means = found.loc[found["name"] == name, ["items", "half_ns", "last_ns"]].mean()
            yield Pattern(Situation.STRAGGLER, cause, {**means, "name": name.removeprefix(schema.TASK_SPAN_PREFIX)})
