"""Serial collection: finished results wait while their collector waits for slower ones first.

    a   |-------------run--------------|
    b   |-run-|........................|lay done|
    c   |--run--|.......................|..lay done..|
    collector   ~~~~waits for a~~~~~~~~~|handle a|handle b|handle c|

Handling b and c is the collector's own running time, on the critical path and no wait, so it belongs to no wait
cause. It could have been done while the collector waited for a: another order could save that time.
Only results that a thread collects by `Future.result()` are observed: a loop passes its own futures on at once,
and the moment at which a task reads a finished one cannot be observed.
"""

from collections.abc import Iterator
from typing import Final

import pandas as pd

from whywait.analysis.grouped import columns
from whywait.analysis.model import Analysis, attribute, named_by
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.tracer import schema

LEAST_NS: Final = 1_000_000  # a shorter delay counts as collected at once
COLUMNS: Final = ("endpoint", "lay_ns", "gain_ns", "job")


def collected_serially(group: Group) -> Iterator[Pattern]:
    """Yield the cost of the order of collection where another order could save a significant time."""
    worth = group.orders[group.orders["gain_ns"] >= group.least_ns]
    for row in worth.to_dict("records"):
        found = {"job": str(row["job"]), "lay_ns": float(row["lay_ns"]), "gain_ns": float(row["gain_ns"])}
        yield Pattern(Situation.SERIAL_COLLECTION, None, found)


def serial_collection(analysis: Analysis) -> pd.DataFrame:
    """Return one row per endpoint: the cost of its order of collection, per request on average.

    `lay_ns` is the time from end to collection of results that could have been handled meanwhile, summed over
    jobs; `gain_ns` is an upper bound of the saving; `job` is the name of one of them.
    """
    first = analysis.requests.drop_duplicates("trace_id").set_index("trace_id")
    requests = first["endpoint"]
    spans = analysis.spans[analysis.spans["trace_id"].isin(requests.index)]
    early = _early(spans)
    if early is None or early.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    by_collector = columns(
        early.groupby(["trace_id", "collector"]),
        handling=("handling", "sum"), done=("done", "min"), last_wait=("last_wait", "max"), lay=("lay", "sum"),
        job=("name", "first"),
    )  # fmt: skip
    room = by_collector["last_wait"] - by_collector["done"]
    by_collector["gain"] = by_collector["handling"].clip(upper=room)
    by_collector["endpoint"] = by_collector.index.get_level_values("trace_id").map(requests.to_dict())
    weight = by_collector.index.get_level_values("trace_id").map(first["weight"].to_dict())
    by_collector["lay"] *= weight
    by_collector["gain"] *= weight
    total = columns(
        by_collector.groupby("endpoint"), lay_ns=("lay", "sum"), gain_ns=("gain", "sum"), job=("job", "first")
    )
    size = analysis.requests.groupby("endpoint")["weight"].sum().reindex(total.index)
    total[["lay_ns", "gain_ns"]] = total[["lay_ns", "gain_ns"]].div(size, axis=0)
    return total.reset_index()


def _early(spans: pd.DataFrame) -> pd.DataFrame | None:
    """The jobs that ended before, and were collected after, their collector's last wait for a job; None where
    no thread waited for one."""
    kinds = attribute(spans, schema.KIND)
    if not (kinds == schema.KIND_JOB).any():
        return None
    jobs, runs, waits = (spans[kinds == kind] for kind in (schema.KIND_JOB, schema.KIND_RUN, schema.KIND_WAIT))
    jobs = jobs.assign(job_id=jobs["trace_id"] + "/" + jobs["span_id"])
    waits = waits[attribute(waits, schema.WAKER_SPAN_ID) != ""]
    waits = waits[named_by(waits, schema.WAKER_SPAN_ID, schema.WAKER_TRACE_ID).isin(jobs["job_id"])]
    if runs.empty or waits.empty:
        return None
    # columns with gaps are floats: relative to the first span, they are exact to the nanosecond
    origin = int(spans["start_ns"].min())
    done = (runs["end_ns"] - origin).groupby(named_by(runs, schema.ACTIVITY)).max()
    last = waits.sort_values("end_ns").groupby(named_by(waits, schema.ACTIVITY)).tail(1)
    last = last.set_index(named_by(last, schema.ACTIVITY))
    table = pd.DataFrame(
        {
            "trace_id": jobs["trace_id"],
            "name": jobs["name"].str.removeprefix(schema.JOB_SPAN_PREFIX),
            "collector": named_by(jobs, schema.SPAWNED_BY),
            "done": jobs["job_id"].map(done),
            "taken": jobs["end_ns"] - origin,
        }
    )
    table["last_wait"] = table["collector"].map(last["end_ns"] - origin)
    # its result also waits until its waiter continues, but no other order would handle it sooner
    table["waited_for"] = jobs["job_id"] == table["collector"].map(
        named_by(last, schema.WAKER_SPAN_ID, schema.WAKER_TRACE_ID)
    )
    table = table.dropna(subset=["done", "last_wait"]).sort_values(["trace_id", "collector", "taken"])
    following = table.groupby(["trace_id", "collector"])["taken"].shift(-1)
    # the handling time of the last one is unknown: nothing was collected after it
    table["handling"] = (following - table["taken"]).fillna(0)
    table["lay"] = table["taken"] - table["done"]
    early = (table["done"] < table["last_wait"]) & (table["taken"] >= table["last_wait"])
    return table[early & ~table["waited_for"] & (table["lay"] >= LEAST_NS)]
