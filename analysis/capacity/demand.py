"""What each request held of each resource, and how long it waited for it: over all its work, not only the critical path.

held      |----------------------|    a worker ran the request's job
waited         |~~~GIL~~~|            and waited for another resource meanwhile
demand    |----|         |-------|    what more workers, or a free GIL, would not shorten
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.capacity.contention import of_consumers, of_waiters, python_share, takers, without_wait
from whywait.analysis.capacity.own_spans import own_spans
from whywait.analysis.causes import Evidence
from whywait.analysis.measure.weights import weights_of
from whywait.analysis.model import Analysis
from whywait.tracer import schema

DEMAND_COLUMNS: Final = (
    "trace_id", "request_id", "endpoint",
    "process",  # the service and, where known, the host and number of the process
    "resource", "name",  # a Resource, and which: the pool, the lock; "" where a process has one
    "servers",  # float64: how many can hold it at once; 0 where that is not known, or is no limit
    "held_ns",  # float64: how long the request held it
    "demand_ns",  # float64: of that, without its waits for other resources meanwhile
    "wait_ns",  # float64: how long the request's work waited for it
    "visits",  # float64: how often
    "evidence",  # the weakest Evidence of its parts
    "weight",  # float64, of the request
)  # fmt: skip
_KEY: Final = ["request_id", "resource", "name"]
_SUMS: Final = ["held_ns", "demand_ns", "wait_ns", "visits"]
# not as texts: pandas would find the largest text of a group on pyarrow's threads
_WEAKEST_LAST: Final = pd.CategoricalDtype(list(Evidence), ordered=True)


class Resource(StrEnum):
    """What requests share, and can use up."""

    GIL = "gil"
    CPU = "cpu"
    LOOP = "loop"
    POOL = "pool"
    LOCK = "lock"  # of threads or of the loop, a semaphore, a limiter
    LOGGING = "logging"
    CONNECTION = "connection"
    DEVICE = "device"
    TASK = "task"  # of no request, which does one thing after another for those that wait for it


_WAITED: Final = {
    schema.WAIT_POOL_QUEUE: Resource.POOL, schema.WAIT_LOOP_BUSY: Resource.LOOP, schema.WAIT_LOCK: Resource.LOCK,
    schema.WAIT_LOGGING: Resource.LOGGING, schema.WAIT_LIMITER: Resource.LOCK, schema.WAIT_GPU_QUEUE: Resource.DEVICE,
    schema.WAIT_CONNECTION: Resource.CONNECTION,
}  # fmt: skip
HELD_BY_OTHERS: Final = (Resource.LOCK, Resource.LOGGING, Resource.CONNECTION)  # only those who wait are recorded


def demand(analysis: Analysis) -> pd.DataFrame:
    """Return one row per analysed request and resource that it held or waited for (DEMAND_COLUMNS), amounts in ns."""
    own = own_spans(analysis)
    taken = takers(analysis)
    parts = pd.concat([one.assign(resource=str(kind)) for kind, one in _parts(own, taken)], ignore_index=True)
    parts["evidence"] = parts["evidence"].astype(_WEAKEST_LAST)
    sums = parts.groupby(_KEY, sort=False)[_SUMS].sum()
    first = parts.groupby(_KEY, sort=False)[["servers", "evidence"]].max()
    table = sums.join(first).reset_index()
    table["demand_ns"] = table["demand_ns"].clip(lower=0.0)
    requests = analysis.analysed
    of = requests[["trace_id", "request_id", "endpoint"]].assign(weight=weights_of(requests))
    of["process"] = of["request_id"].map(own.groupby("request_id")["process"].first())
    return table.merge(of, on="request_id")[list(DEMAND_COLUMNS)]


def _parts(own: pd.DataFrame, taken: pd.DataFrame) -> Iterator[tuple[Resource, pd.DataFrame]]:
    """Yield what each span adds to a resource of its request."""
    kind, wait = own["kind"], own["wait"]
    is_run, here = kind == schema.KIND_RUN, ~own["remote"]
    ran = (kind == schema.KIND_TASK) | is_run
    sampled = ran | kind.isin([schema.KIND_BLOCK, schema.KIND_WAIT])
    share = python_share(own)
    yield Resource.CPU, _row(own[ran], held="cpu_ns", servers=_cpus(own))
    by_thread = own[own["task"].str.startswith(schema.OF_THREAD)].sort_values("end_ns")
    # the last of a thread's turns is for it
    last = by_thread.drop_duplicates(["request_id", "task"], keep="last")
    yield Resource.CPU, _row(last, held="cpu_ns", servers=_cpus(own))
    yield Resource.CPU, _row(own[sampled], wait="run_queue_ns", servers=_cpus(own))
    computing = own[ran & here].assign(python_ns=own["cpu_ns"] * share)
    evidence = np.where(share[computing.index] < 1, Evidence.SAMPLED, Evidence.INFERRED)
    yield Resource.GIL, _row(computing, held="python_ns", servers=1.0).assign(evidence=evidence)
    yield Resource.GIL, _row(own[sampled & here], wait="gil_ns", servers=1.0)
    other_ns = own["gil_ns"] + own["run_queue_ns"]
    yield Resource.LOOP, _row(own[kind == schema.KIND_TASK], held="run_ns", servers=1.0)
    blocks = own[kind == schema.KIND_BLOCK].assign(less_ns=-other_ns)
    yield Resource.LOOP, _row(blocks, demand="less_ns", servers=1.0)
    jobs = own[own["pool"] != ""].assign(name=own["pool"], less_ns=-other_ns)
    run = jobs[jobs["kind"] == schema.KIND_RUN]
    yield Resource.POOL, _row(run, held="ns", servers=run["size"])
    yield Resource.POOL, _row(run, demand="less_ns", servers=run["size"])
    inside = jobs[jobs["wait"].map(_WAITED.get).isin(HELD_BY_OTHERS)].assign(less_ns=-own["ns"])
    yield Resource.POOL, _row(inside, demand="less_ns", servers=inside["size"])
    device = own[own["device"] != ""].assign(name=own["device"])
    yield Resource.DEVICE, _row(device, held="device_ns", servers=1.0)
    yield Resource.TASK, _row(of_consumers(own), held="slot_ns", wait="queued_ns", servers=1.0)
    waited = wait.map(_WAITED.get).where(~own["limited"], Resource.LOCK)
    for resource, rows in own[waited.notna()].groupby(waited.dropna().astype(str)):
        named = rows.assign(name=rows["pool" if resource == Resource.POOL else "of"])
        if resource in HELD_BY_OTHERS:
            waits = of_waiters(named)
            several = waits.groupby(["process", "name"])["lock"].transform("nunique") > 1
            waits["slots"] = waits["slots"].mask(several, 0.0)  # as one for each user: none of them is the limit
            yield Resource(resource), _row(waits, held="slot_ns", wait="ns", servers=waits["slots"], visits=1)
            unseen = without_wait(waits, taken)
            yield Resource(resource), _row(unseen, held="slot_ns", servers=unseen["slots"], visits=1)
        elif resource == Resource.LOOP:
            yield Resource.LOOP, _row(named.assign(name="", ns=rows["ns"] - other_ns), wait="ns", servers=1.0)
        else:
            yield Resource(resource), _row(named, wait="ns", servers=named["size"])


def _row(
    rows: pd.DataFrame, *, servers: Any, held: str = "", demand: str = "", wait: str = "", visits: float = 0.0
) -> pd.DataFrame:
    """Return rows with _SUMS; what is held is a demand, too, until a wait inside is subtracted."""
    taken = {
        "held_ns": rows[held] if held else 0.0, "demand_ns": rows[held or demand] if held or demand else 0.0,
        "wait_ns": rows[wait] if wait else 0.0, "visits": visits or (1.0 if held else 0.0), "servers": servers,
    }  # fmt: skip
    return rows[["request_id", "name"]].assign(**taken, evidence=rows.get("evidence", Evidence.OBSERVED))


def _cpus(own: pd.DataFrame) -> float:
    """Return how many CPUs the process may use, by its quota where it has one; 0 where that is not known."""
    return float(own["cpus"].max()) if len(own) else 0.0
