"""How much of each resource a process used, which one was used up first, and the requests/s that it allows.

Utilization law: requests/s × demand per request / servers. A resource that is used up has a queue before it, too.
(Lazowska et al., Quantitative System Performance, 1984.)
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.capacity.demand import Resource, demand
from whywait.analysis.capacity.own_spans import nobodys_time
from whywait.analysis.capacity.window import active_ns, in_system
from whywait.analysis.causes import Evidence
from whywait.analysis.measure.weights import weights_of
from whywait.analysis.model import Analysis

FEWEST: Final = 20  # traced requests of a process, and how long: with less nothing is said of rates
SHORTEST_NS: Final = 500_000_000
# utilization from which a resource with a queue before it is the limit: some demand is never recorded
FULL: Final = 0.65
QUEUED: Final = 0.2  # of the requests' time that they waited for it, and so many at once for what others use up
_RUNS: Final = (Resource.LOOP, Resource.GIL, Resource.CPU)  # what code has while it runs
FREE: Final = 0.5  # utilization up to which a resource is not near its limit
OVER_TIME_COLUMNS: Final = (
    "process", "start_ns", "end_ns", "in_system", "served_per_s", "resource", "name", "utilization",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Use:
    """One resource of a process; amounts per request, on average over all requests of the process."""

    resource: Resource
    name: str
    servers: float  # 0: not known, or no limit
    demand_ns: float
    held_ns: float
    wait_ns: float
    utilization: float  # by the demand: 1 is all of it; 0 where `servers` is not known
    busy: float  # the same by the time held, waits for other resources included
    possible_per_s: float  # requests of this mix that it allows; 0 where not known
    evidence: Evidence
    others: float = 0.0  # the part of `utilization` that work of no request takes, where that is known


@dataclass(frozen=True, slots=True)
class ProcessCapacity:
    """The rates of one process while it had requests, and what limits them."""

    process: str
    requests: float
    active_ns: int
    offered_per_s: float
    served_per_s: float
    in_system: float  # requests, on average: counted over time
    mean_wall_ns: float
    uses: tuple[Use, ...]  # most used first
    limit: Use | None  # used up, with requests queued for it
    heaviest: str  # the endpoint that needs most of `limit`, in sum
    heaviest_ns: float  # and how much of it for one of its requests
    stuck: bool = False  # requests wait in a circle, or for what nobody gives back: what is full then is no limit

    @property
    def most_used(self) -> Use | None:
        """The resource that saturates first."""
        return self.uses[0] if self.uses and self.uses[0].servers else None

    @property
    def enough(self) -> bool:
        """Whether there were enough requests to speak of rates."""
        return self.requests >= FEWEST and self.active_ns >= SHORTEST_NS


def capacity(analysis: Analysis) -> tuple[ProcessCapacity, ...]:
    """Return the capacity of each process, the one with most requests first."""
    table = demand(analysis)
    requests = analysis.analysed.assign(weight=lambda own: weights_of(own))
    process = table.drop_duplicates("request_id").set_index("request_id")["process"]
    grouped = requests.groupby(requests["request_id"].map(process), sort=False)
    nobodys = nobodys_time(analysis)
    found = [
        _of_process(str(name), own, table[table["process"] == name], nobodys[nobodys["process"] == name])
        for name, own in grouped
    ]
    return tuple(sorted(found, key=lambda one: -one.requests))


def _of_process(process: str, requests: pd.DataFrame, table: pd.DataFrame, nobodys: pd.DataFrame) -> ProcessCapacity:
    active = max(active_ns(requests["start_ns"], requests["end_ns"]), 1)
    arriving = max(active_ns(requests["start_ns"], requests["start_ns"]), 1)
    count = float(requests["weight"].sum())
    bounds = np.array([requests["start_ns"].to_numpy(np.int64).min(), requests["end_ns"].to_numpy(np.int64).max()])
    inside = in_system(requests, bounds)
    wall_ns = float((requests["wall_ns"] * requests["weight"]).sum()) / count
    held_ns = (nobodys["end_ns"].clip(upper=bounds[1]) - nobodys["start_ns"].clip(lower=bounds[0])).clip(lower=0)
    cpu_ns = held_ns * nobodys["cpu_ns"] / (nobodys["end_ns"] - nobodys["start_ns"]).clip(lower=1)
    others = {Resource.LOOP: float(held_ns.sum()) / active, Resource.CPU: float(cpu_ns.sum()) / active}
    uses = _uses(table, count, count / active, others)
    limit = _limit(uses, wall_ns, count / active)
    heaviest, heaviest_ns = _heaviest(table, limit)
    return ProcessCapacity(
        process, count, active, max(count - 1, 0.0) * 1e9 / arriving, count * 1e9 / active,
        float(inside[0]) * float(bounds[1] - bounds[0]) / active, wall_ns, uses, limit, heaviest, heaviest_ns,
    )  # fmt: skip


def _uses(table: pd.DataFrame, count: float, per_ns: float, of_others: dict[Resource, float]) -> tuple[Use, ...]:
    amounts = table.assign(**{name: table[name] * table["weight"] for name in ("held_ns", "demand_ns", "wait_ns")})
    grouped = amounts.groupby(["resource", "name"], sort=False)
    sums = grouped[["held_ns", "demand_ns", "wait_ns"]].sum() / count
    sums = sums.join(grouped[["servers", "evidence"]].max()).reset_index()
    found = []
    rows: list[dict[Any, Any]] = sums.to_dict("records")
    for row in rows:
        servers, needed, held = (float(row[name]) for name in ("servers", "demand_ns", "held_ns"))
        others = min(of_others.get(Resource(row["resource"]), 0.0) / max(servers, 1.0), 1.0)
        utilization, busy = (others + per_ns * ns / servers if servers else 0.0 for ns in (needed, held))
        possible = max((1 - others) * servers, per_ns * needed) * 1e9 / needed if needed and servers else 0.0
        found.append(
            Use(
                Resource(row["resource"]), str(row["name"]), servers, needed, held, float(row["wait_ns"]),
                min(utilization, 1.0), min(busy, 1.0), possible, Evidence(row["evidence"]), others,
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda one: -one.utilization))


def _limit(uses: tuple[Use, ...], wall_ns: float, per_ns: float) -> Use | None:
    """The resource that is used up and waited for most; a CPU is also used up by others, which no span shows: where requests
    wait for one at so much of the time.

    Those who wait for a worker of a pool that is not used up itself wait for what its workers wait for. A wait for the
    loop is divided by that already, and who has the GIL or a CPU runs."""
    ahead = max(uses, key=lambda one: one.wait_ns, default=None)
    if ahead is not None and ahead.resource not in _RUNS and ahead.wait_ns >= QUEUED * wall_ns:
        wall_ns = ahead.held_ns if 0 < ahead.held_ns < wall_ns and ahead.utilization < FULL else wall_ns
    # which work of no request has, as no span shows either
    for_gil = ahead is not None and ahead.resource is Resource.GIL
    full = [
        one for one in uses
        if one.wait_ns >= QUEUED * wall_ns
        and (one.utilization >= FULL or (one.resource is Resource.CPU and per_ns * one.wait_ns >= QUEUED and not for_gil))
    ]  # fmt: skip
    return max(full, key=lambda one: one.wait_ns, default=None)


def _heaviest(table: pd.DataFrame, limit: Use | None) -> tuple[str, float]:
    if limit is None:
        return "", 0.0
    own = table[(table["resource"] == limit.resource) & (table["name"] == limit.name)]
    sums = (own["demand_ns"] * own["weight"]).groupby(own["endpoint"]).sum()
    endpoint = str(sums.idxmax())
    of = table[table["endpoint"] == endpoint].drop_duplicates("request_id")
    return endpoint, float(sums.max()) / float(of["weight"].sum())


def over_time(analysis: Analysis, parts: int = 20) -> pd.DataFrame:
    """Return OVER_TIME_COLUMNS: the run in `parts` equal stretches, in each the requests in the system, those served
    per second, and the utilization of each resource of each process. A request's demand counts evenly over its time."""
    requests = analysis.analysed[["request_id", "start_ns", "end_ns", "wall_ns"]]
    of = demand(analysis).merge(requests, on="request_id")
    of["weight"] = of["weight"].astype(np.float64)
    at = np.linspace(requests["start_ns"].min(), requests["end_ns"].max() + 1, parts + 1).astype(np.int64)
    rows = []
    for process, own in of.groupby("process", sort=False):
        each = own.drop_duplicates("request_id")
        inside = in_system(each, at)
        served = np.histogram(each["end_ns"], at, weights=each["weight"])[0] * 1e9 / np.diff(at)
        for (resource, name), used in own[own["servers"] > 0].groupby(["resource", "name"], sort=False):
            held = used.assign(
                weight=used["weight"] * used["demand_ns"] / used["wall_ns"].clip(lower=1) / used["servers"]
            )
            part = {"start_ns": at[:-1], "end_ns": at[1:], "in_system": inside, "served_per_s": served}
            named = {"process": process, "resource": resource, "name": name, "utilization": in_system(held, at)}
            rows.append(pd.DataFrame(part | named))
    return (
        pd.concat(rows, ignore_index=True)[list(OVER_TIME_COLUMNS)] if rows else pd.DataFrame(columns=OVER_TIME_COLUMNS)
    )
