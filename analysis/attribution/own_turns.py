"""Which waits for the loop were turns of the request's own tasks: what they compute is the request's computing.

task a   |--step--|~~~~~~~~waits~~~~~~~~|--step--|
task b            |--step--|                          all of one request: a's wait is what b and c compute
task c                     |----step----|
"""

from typing import Final

import numpy as np
import pandas as pd

from whywait.analysis.attributes import objects
from whywait.analysis.attribution.culprit_names import Named, blocker
from whywait.analysis.spans.span_table import Bools, Ints, SpanTable
from whywait.tracer import schema

_MOST: Final = 0.8  # of what the loop ran meanwhile; the rest was of no trace, and short


def own_turns(spans: SpanTable, rows: Ints) -> Bools:
    """By entry of `rows`: whether it is a wait for the loop behind steps of tasks of its own trace, which computed, and
    hardly anything else.

    A callback that was scheduled in a task's context is no step of it: it is longer than all that tasks of this name ran.
    A run of short callbacks has the name of one of them: it is compared with what all tasks of its trace ran.
    """
    found = np.zeros(len(rows), dtype=bool)
    behind = np.flatnonzero(spans.texts(rows, schema.WAIT) == schema.WAIT_LOOP_BUSY)
    ahead = {int(at): of for at in behind if len(of := _own(spans, int(rows[at])))}
    if not ahead:
        return found
    tasks = np.flatnonzero(spans.kinds == schema.KIND_TASK)
    ran_ns, cpu_ns = (pd.Series(np.maximum(spans.ints(tasks, key), 0)) for key in (schema.RUN_NS, schema.CPU_NS))
    by_name = [one.groupby([spans.traces[tasks], spans.names[tasks]]).sum().to_dict() for one in (ran_ns, cpu_ns)]
    by_trace = [one.groupby(spans.traces[tasks]).sum().to_dict() for one in (ran_ns, cpu_ns)]
    lengths, queued = spans.end[rows] - spans.start[rows], np.maximum(spans.ints(rows, schema.RUN_QUEUE_NS), 0)
    for at, of in ahead.items():
        named = {(spans.traces[row], spans.names[row]) for row in of}
        ahead_ns = float(sum(of.values()))
        ran, cpu = (sum(sums.get(one, 0) for one in named) for sums in by_name)
        if (spans.attributes[rows[at]].get(schema.BLOCKER_COUNT) or 1) > 1:
            (ran, cpu), ahead_ns = (sums.get(spans.traces[rows[at]], 0) for sums in by_trace), _MOST * ahead_ns
        had_cpu = 1 - queued[at] / max(lengths[at], 1)
        found[at] = ran >= ahead_ns and cpu * 2 > ran * had_cpu
    return found


def _own(spans: SpanTable, row: int) -> dict[int, int]:
    """The rows of the tasks of its own that ran in this wait, and for how long, ns; {} where others did, too."""
    every: list[Named] = blocker(spans, 0, row)
    known = [one for one in every if one[4]]
    own_ns = sum(max(one[6], 0) for one in known)
    if any(one[4] != spans.trace_ids[row] for one in known) or own_ns < _MOST * sum(max(one[6], 0) for one in every):
        return {}
    at = spans.find(*(objects([one[key] for one in known]) for key in (4, 5)))
    found = dict.fromkeys(at.tolist(), 0)
    for number, one in zip(at.tolist(), known, strict=True):
        found[number] += max(one[6], 0)
    return found if min(found, default=-1) >= 0 else {}
