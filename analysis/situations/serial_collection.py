"""Serial collection: results that lay done while their collector waited for slower ones first.

    a   |-------------run--------------|
    b   |-run-|........................|lay done|
    c   |--run--|.......................|..lay done..|
    collector   ~~~~waits for a~~~~~~~~~|handle a|handle b|handle c|

Handling b and c is the collector's own running time, on the critical path and no wait, so no cause takes
it. But it could have been done while the collector waited for a: that is what another order could gain.
Only results that a thread asks for by `Future.result()` are seen to be taken: a loop hands its own futures
on at once, and when a task then reads one that is done cannot be observed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import pandas as pd

from whywait.analysis.model import Analysis
from whywait.analysis.situations.situation import Group, Situation
from whywait.analysis.situations.thresholds import MIN_MEAN_NS, MIN_SHARE
from whywait.tracer import schema

LEAST_NS: Final = 1_000_000  # a result that lay done for less was taken at once
COLUMNS: Final = ("endpoint", "lay_ns", "gain_ns", "job")


@dataclass(frozen=True, slots=True)
class SerialCollection:
    """Results that could have been handled while their collector waited for slower ones; per request, on average."""

    kind: ClassVar = Situation.SERIAL_COLLECTION
    job: str  # one of them
    lay_ns: float  # in sum over jobs
    gain_ns: float  # at most, by handling them as they complete


def collected_serially(group: Group) -> Iterator[SerialCollection]:
    """Yield what the order of collection costs where another order could gain something significant."""
    worth = group.orders[group.orders["gain_ns"] >= max(MIN_MEAN_NS, MIN_SHARE * group.mean_wall_ns)]
    for row in worth.to_dict("records"):
        yield SerialCollection(str(row["job"]), float(row["lay_ns"]), float(row["gain_ns"]))


def serial_collection(analysis: Analysis) -> pd.DataFrame:
    """Return per endpoint, and per request of it on average, what its results' order of collection cost.

    `lay_ns` is how long results lay done that could have been handled meanwhile, summed over jobs;
    `gain_ns` the most that the request could gain; `job` the name of one of them.
    """
    first = analysis.requests.drop_duplicates("trace_id").set_index("trace_id")
    requests = first["endpoint"]
    spans = analysis.spans[analysis.spans["trace_id"].isin(requests.index)]
    early = _early(spans)
    if early is None or early.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    by_collector = early.groupby(["trace_id", "collector"]).agg(
        handling=("handling", "sum"), done=("done", "min"), last_wait=("last_wait", "max"), lay=("lay", "sum"),
        job=("name", "first"),
    )  # fmt: skip
    room = by_collector["last_wait"] - by_collector["done"]
    by_collector["gain"] = by_collector["handling"].clip(upper=room)
    by_collector["endpoint"] = by_collector.index.get_level_values("trace_id").map(requests.to_dict())
    weight = by_collector.index.get_level_values("trace_id").map(first["weight"].to_dict())
    by_collector["lay"] *= weight
    by_collector["gain"] *= weight
    total = by_collector.groupby("endpoint").agg(
        lay_ns=("lay", "sum"), gain_ns=("gain", "sum"), job=("job", "first")
    )
    size = analysis.requests.groupby("endpoint")["weight"].sum().reindex(total.index)
    total[["lay_ns", "gain_ns"]] = total[["lay_ns", "gain_ns"]].div(size, axis=0)
    return total.reset_index()


def _early(spans: pd.DataFrame) -> pd.DataFrame | None:
    """The jobs that were done before, and taken after, their collector's last wait for a job; None where
    no thread waited for one."""
    kinds = _attribute(spans, schema.KIND)
    jobs, runs, waits = (
        spans[kinds == kind] for kind in (schema.KIND_JOB, schema.KIND_RUN, schema.KIND_WAIT)
    )
    waits = waits[_attribute(waits, schema.WAKER_SPAN_ID).isin(jobs["span_id"])]
    if runs.empty or waits.empty:
        return None
    # columns with gaps are floats: counted from the first span, they hold whole nanoseconds
    origin = int(spans["start_ns"].min())
    done = (runs["end_ns"] - origin).groupby(_attribute(runs, schema.ACTIVITY)).max()
    last = waits.sort_values("end_ns").groupby(_attribute(waits, schema.ACTIVITY)).tail(1)
    last = last.set_index(_attribute(last, schema.ACTIVITY))
    table = pd.DataFrame(
        {
            "trace_id": jobs["trace_id"],
            "name": jobs["name"].str.removeprefix(schema.JOB_SPAN_PREFIX),
            "collector": _attribute(jobs, schema.SPAWNED_BY),
            "done": jobs["span_id"].map(done),
            "taken": jobs["end_ns"] - origin,
        }
    )
    table["last_wait"] = table["collector"].map(last["end_ns"] - origin)
    # its result, too, lies while who waited for it comes back, but in no order would it be handled sooner
    table["waited_for"] = jobs["span_id"] == table["collector"].map(_attribute(last, schema.WAKER_SPAN_ID))
    table = table.dropna(subset=["done", "last_wait"]).sort_values(["trace_id", "collector", "taken"])
    following = table.groupby(["trace_id", "collector"])["taken"].shift(-1)
    # how long the last one's handling took is not known: nothing was taken after it
    table["handling"] = (following - table["taken"]).fillna(0)
    table["lay"] = table["taken"] - table["done"]
    early = (table["done"] < table["last_wait"]) & (table["taken"] >= table["last_wait"])
    return table[early & ~table["waited_for"] & (table["lay"] >= LEAST_NS)]


def _attribute(spans: pd.DataFrame, key: str) -> "pd.Series[Any]":
    return spans["attributes"].map(lambda attributes: attributes.get(key, ""))
