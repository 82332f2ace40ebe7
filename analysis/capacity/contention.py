"""What waits tell of who held: of locks and connections only the waits are recorded, of the GIL only samples of waits.

waits        |~~~~~~~~~~~~|     |~~~~~~~~~~~|
                 |~~~~~~~~~~~~~~~~|
contended    |------------------------------|     while somebody waits every slot is held: each wait that ends is
                                                  one hold that ended, so a hold takes contended / waits, per slot
"""

from typing import Final

import numpy as np
import pandas as pd

from whywait.analysis.capacity.window import active_ns
from whywait.analysis.model import Analysis
from whywait.tracer import schema

TOGETHER: Final = 0.2  # of the requests: from this share on it is no chance that others' waits end at the same instant
_STEP_NS: Final = 1_000_000  # in which a thread ends several waits
_IN_TURN: Final = 0.5  # of those that wait at once, on average: so many turns a wait lasts, where each has its own
_CROWD: Final = 2.0  # jobs at once, on average, from which a thread that needs the GIL must be seen waiting for it
_CLEAR: Final = 0.6  # of the CPU time, from which the waits agree that it was all Python


def of_waiters(waits: pd.DataFrame) -> pd.DataFrame:
    """Return waits with `slot_ns`, how long one hold of what they waited for takes."""
    waits = waits.sort_values("start_ns", kind="stable")
    keys = [waits["process"], waits["name"]]
    ends = waits.groupby(keys, sort=False)["end_ns"].cummax()
    before = ends.groupby(keys, sort=False).shift(fill_value=0)
    fresh = waits["end_ns"] - np.maximum(waits["start_ns"], before)
    contended = fresh.clip(lower=0).groupby(keys, sort=False).transform("sum")
    count = waits["weight"].groupby(keys, sort=False).transform("sum")
    return waits.assign(slot_ns=waits["slots"] * contended / count)


def of_consumers(own: pd.DataFrame) -> pd.DataFrame:
    """Return the requests that waited for a task of no request with `slot_ns`, how long it takes for one of them, and
    `queued_ns`. None of a task that takes several at once: how many it could take nobody knows."""
    parts = own[own["task"] != ""].groupby(["process", "task", "request_id"], sort=False)
    sums = {
        name: (name, how)
        for name, how in (("start_ns", "min"), ("end_ns", "max"), ("weight", "first"), ("turns", "max"))
    }
    waits = parts.agg(**sums).reset_index().rename(columns={"task": "name"}).assign(slots=1.0)
    waits = of_waiters(waits[~in_batches(waits, ["process", "name"])])
    ns = waits["end_ns"] - waits["start_ns"]
    by_task = waits.assign(waiting=ns / waits["slot_ns"]).groupby(["process", "name"], sort=False)
    in_turn = by_task["turns"].transform("mean") >= _IN_TURN * by_task["waiting"].transform("mean")
    return waits.assign(queued_ns=(ns - waits["slot_ns"]).clip(lower=0.0))[in_turn]


def in_batches(waits: pd.DataFrame, keys: list[str]) -> "pd.Series[bool]":
    """Return for each request's wait whether what ends those with its keys takes several at once: they end together.
    A thread ends one after the other."""
    of_thread = waits[keys[-1]].str.startswith(schema.OF_THREAD)
    ends = waits.assign(end_ns=waits["end_ns"].mask(of_thread, waits["end_ns"] // _STEP_NS))
    together = ends.duplicated([*keys, "end_ns"], keep=False)
    return together.groupby([waits[key] for key in keys], sort=False).transform("mean") >= TOGETHER


def takers(analysis: Analysis) -> pd.DataFrame:
    """Return who had what a wait waited for: the wait's `span_id`, and the `request_id` that had it."""
    named = analysis.culprits[analysis.culprits["culprit_trace_id"] != ""]
    waits = named.merge(analysis.causes[["request_id", "start_ns", "span_id"]], on=["request_id", "start_ns"])
    whose = analysis.analysed.drop_duplicates("trace_id").set_index("trace_id")["request_id"]
    return waits.assign(request_id=waits["culprit_trace_id"].map(whose))[["span_id", "request_id"]].dropna()


def without_wait(waits: pd.DataFrame, taken: pd.DataFrame) -> pd.DataFrame:
    """Return, as such waits, the holds of requests that got it at once, and made others wait for it. Who waited at all may
    have waited for the same: a lock is called by where one waits for it."""
    held = taken.merge(waits.drop(columns="request_id"), on="span_id").drop_duplicates(["request_id", "name"])
    return held[~held["request_id"].isin(waits["request_id"])]


def python_share(own: pd.DataFrame) -> "pd.Series[float]":
    """Return for each span which part of its CPU time needed the GIL: 1, unless many jobs of a function computed at once,
    or all of them more than one thread can, and hardly waited for it (a queue for one server, utilization U:
    U² / 2(1 - U) wait on average)."""
    share = pd.Series(1.0, index=own.index)
    runs = own[(own["kind"] == schema.KIND_RUN) & ~own["remote"]]
    for _, jobs in runs.groupby(["process", "function"], sort=False):
        active = max(active_ns(jobs["start_ns"], jobs["end_ns"]), 1)
        weighted = jobs["weight"].to_numpy(dtype=np.float64)
        computing, waiting, at_once = (
            float(jobs[name] @ weighted) / active for name in ("cpu_ns", "gil_ns", "ns")
        )  # fmt: skip
        shown = np.sqrt(waiting * waiting + 2 * waiting) - waiting
        if (at_once >= _CROWD or computing > 1) and shown < _CLEAR * computing:
            share[jobs.index] = shown / computing
    return share
