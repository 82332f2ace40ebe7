"""How an endpoint's requests use pools: many small jobs, few jobs, or a pool of their own each.

request 1   |--made--jobs--|                     request 1   |--made--jobs------|
request 2          |--made--jobs--|              request 2      |-------jobs------|
            one pool for each request                        one pool, made by the first request
"""

from collections import Counter
from collections.abc import Iterator
from math import nan
from typing import Any, Final

import pandas as pd

from whywait.analysis.attribution.culprit_names import is_librarys
from whywait.analysis.causes import Cause
from whywait.analysis.grouped import columns
from whywait.analysis.model import Analysis, attribute, named_by
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import (
    ALIKE,
    HOP_NS,
    MANY_HOPS,
    MIN_HELD,
    MIN_KNOWN,
    MIN_MEAN_NS,
    SAVES,
    SHORT_TURN_NS,
)  # fmt: skip
from whywait.analysis.situations.what_helps import stands_in
from whywait.analysis.spans.awaited import all_awaits
from whywait.analysis.text import in_brackets, place
from whywait.tracer import schema

MANY: Final = 4  # jobs of one function per request: from this number on one batch is better
MOST: Final = 0.5  # of the requests
COSTLY: Final = 0.1  # of their time, from which the making of a pool is what to change
COLUMNS: Final = (
    "endpoint", "function", "per_request", "mean_ns", "in_turn", "own_pool_share", "pool_file", "pool_line",
)  # fmt: skip
_FELT: Final = 5  # times fewer are told where changes of threads are a reason of their own
_MAKING: Final = {"startup_ns": schema.WAIT_POOL_STARTUP, "shutdown_ns": schema.WAIT_POOL_SHUTDOWN}
_WAITS: Final = (Cause.POOL_QUEUE, Cause.CPU_WAIT, Cause.UNEXPLAINED)  # what many small jobs lead to


def pool_situations(group: Group) -> Iterator[Pattern]:
    """Yield the situations in these requests' use of pools: jobs of one function that each request submitted."""
    own = group.jobs.sort_values("per_request", ascending=False)
    most = float(own["per_request"].max()) if len(own) else 0.0
    of_library = own["pool_file"].str.contains(schema.POOL_FILE_SENSITIVE, regex=False)  # one per request
    yield from _own_pools(group, own[~of_library & (own["own_pool_share"] > MOST)].head(1))
    if Cause.POOL_QUEUE in group.significant and most < MANY:
        yield Pattern(Situation.FEW_JOBS, None, {"per_request": most})
    if (
        most >= MANY
        and sum(group.means.get(cause, 0.0) for cause in _WAITS) >= MIN_MEAN_NS
        and not _hops(group, _in_turn(group, own))
    ):
        yield Pattern(Situation.MANY_JOBS, None, _many_jobs(group, own.head(1)))


def thread_hops(group: Group) -> Iterator[Pattern]:
    """Yield where very many jobs of a function, awaited one after another (`in_turn`), were most of the requests' time; of
    several such functions, as of a file's open, read and close, all of them."""
    own = _in_turn(group, group.jobs)
    if _hops(group, own):
        found = _many_jobs(group, own) | {"where": _where_awaited(group, own)}
        felt_ns = group.means.get(Cause.LOOP_WAKEUP, 0.0) / MIN_HELD
        computes = group.means.get(Cause.COMPUTE, 0.0) > max(found["per_request"] * HOP_NS, felt_ns)
        found["but_for"] = (Cause.COMPUTE,) * computes + (Cause.LOOP_BUSY,) * _behind_others(group)
        yield Pattern(Situation.THREAD_HOPS, None, found)


def _behind_others(group: Group) -> bool:
    """Whether most of the waits for the loop were for others that held it for long, which fewer jobs would meet, too."""
    waits = group.culprits_of(Cause.LOOP_BUSY)
    long = waits[waits["by_other"] & (waits["ns"] >= SHORT_TURN_NS)]
    return bool(len(long) and long["ns"].sum() >= MIN_HELD * waits["ns"].sum())


def _where_awaited(group: Group, own: pd.DataFrame) -> str:
    """Where in the user's code most of those jobs were awaited that took long enough to be seen, after " in "; else the
    endpoint, as where a framework awaits each step of a generator."""
    spans = group.own_spans
    awaited = spans.loc[attribute(spans, schema.WAKER_NAME).isin(own["function"]), "attributes"]
    roots = (found for found in spans["attributes"] if found.get(schema.ROOT) is True)
    for places in (awaited, roots):
        known = Counter(
            f" in {stands_in(found)}" for found in places if schema.CODE_FUNCTION in found and not is_librarys(found)
        )
        if known:
            return known.most_common(1)[0][0]
    return ""


def _in_turn(group: Group, jobs: pd.DataFrame) -> pd.DataFrame:
    """Those of the functions that are as many as the chief one, as of a row's execute, fetch and close: if all are very many."""
    own = jobs[jobs["in_turn"].astype(bool)]
    own = own[own["per_request"] >= ALIKE * own["per_request"].max()]
    many = MANY_HOPS / _FELT if Cause.LOOP_WAKEUP in group.significant else MANY_HOPS
    chosen: pd.DataFrame = own if own["per_request"].sum() >= many else own.head(0)
    return chosen.sort_values("per_request", ascending=False, kind="stable")


def _hops(group: Group, own: pd.DataFrame) -> bool:
    return bool(len(own) and (own["per_request"] * own["mean_ns"]).sum() >= MIN_KNOWN * group.mean_wall_ns)


def _many_jobs(group: Group, own: pd.DataFrame) -> dict[str, Any]:
    per_request = float(own["per_request"].sum())
    blocks = group.means.get(Cause.BLOCKING_IO, 0.0) > group.means.get(Cause.COMPUTE, 0.0)
    steps = own["function"].astype(str).str.match(schema.FOR_STEP_OF_GENERATOR)
    own_names = own["function"].astype(str).where(~steps, own["function"].astype(str) + " (a generator's step)")
    names = [*own_names.unique()]  # one may run in many pools, as in one for each request
    return {
        "function": " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))), "per_request": per_request,
        "mean_ns": float((own["per_request"] * own["mean_ns"]).sum()) / per_request,
        "in_turn": bool(own["in_turn"].all()), "blocks": blocks,
    }  # fmt: skip


def _own_pools(group: Group, own: pd.DataFrame) -> Iterator[Pattern]:
    for row in own.to_dict("records"):
        line = None if pd.isna(row["pool_line"]) else int(row["pool_line"])
        waits = group.own_spans
        ns = (waits["end_ns"] - waits["start_ns"]).groupby(attribute(waits, schema.WAIT)).sum() / len(group.requests)
        found = {name: float(ns.get(kind, 0.0)) for name, kind in _MAKING.items()}
        made_ns = sum(found.values())
        # where workers must start first, jobs queue for that; else for one another
        but_for = (Cause.POOL_QUEUE,) if made_ns < MIN_HELD * group.means.get(Cause.POOL_QUEUE, 0.0) else ()
        decides = {"decides": made_ns >= COSTLY * group.mean_wall_ns, "but_for": but_for}
        at = {"where": in_brackets(place(row["pool_file"], line)), "file": row["pool_file"], "line": line}
        share = float(row["own_pool_share"])
        yield Pattern(Situation.POOL_PER_REQUEST, None, {**found, **at, "share": share, **decides})


def sensitive_threads(group: Group) -> Iterator[Pattern]:
    """Yield whether the requests mostly queue for the one thread of asgiref's `sync_to_async`, or wait until theirs starts."""
    for cause in (Cause.POOL_QUEUE, Cause.POOL_STARTUP):
        if len(group.most_of(cause, lambda found: schema.POOL_FILE_SENSITIVE in str(found.get(schema.POOL_FILE)))):
            yield Pattern(Situation.SENSITIVE_THREAD, cause, {})
    if Cause.BLOCKING_IO in group.significant and one_by_one_ns(group) >= SAVES * group.mean_wall_ns:
        yield Pattern(Situation.SENSITIVE_THREAD, Cause.BLOCKING_IO, {})


def one_by_one_ns(group: Group) -> float:
    """Return for how long, per request, ns, one job ran pieces of `sync_to_async` that were all awaited before the first had ended:
    a synchronous middleware's, which has that thread and waits for an asynchronous view."""
    spans = group.own_spans
    names, modules = attribute(spans, schema.FOR), attribute(spans, schema.FOR_MODULE)
    waits = spans.loc[all_awaits(names, modules, schema.FOR_SENSITIVE)]
    if waits.empty:
        return 0.0
    waits = waits.assign(job=named_by(waits, schema.WAKER_SPAN_ID), of=named_by(waits, schema.ACTIVITY))
    begun_by = named_by(spans, schema.SPAWNED_BY).set_axis(spans["trace_id"].map(str) + "/" + spans["span_id"].map(str))
    pieces = waits[waits["of"] != waits["job"].map(begun_by)]
    ends = pieces[pieces["start_ns"] < pieces.groupby("job")["end_ns"].transform("min")].groupby("job")["end_ns"]
    return float((ends.max() - ends.min()).sum()) / max(len(group.requests), 1)


def pool_use(analysis: Analysis) -> pd.DataFrame:
    """Return one row per endpoint, function and pool's name (COLUMNS): jobs per request, and in how many requests' own pools."""
    jobs = _with_requests(analysis)
    if jobs.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    place = {"pool_file": ("pool_file", "first"), "pool_line": ("pool_line", "first")}
    by_request = columns(
        _with_pools(jobs).groupby(["endpoint", "function", "pool", "request_id"]),
        jobs=("jobs", "sum"), ns=("ns", "sum"), turns=("turns", "sum"), own=("own", "all"),
        weight=("weight", "first"), **place,
    )  # fmt: skip
    by_request["own"] *= by_request["weight"]
    result = columns(
        by_request.groupby(["endpoint", "function", "pool"]),
        jobs=("jobs", "sum"), ns=("ns", "sum"), turns=("turns", "sum"), own=("own", "sum"), weight=("weight", "sum"),
        **place,
    ).reset_index()  # fmt: skip
    size = analysis.requests.groupby("endpoint")["weight"].sum()
    result["per_request"] = result["jobs"] / result["endpoint"].map(size)
    result["mean_ns"] = result["ns"] / result["jobs"]
    result["in_turn"] = result["turns"] > result["jobs"] * MOST
    result["own_pool_share"] = result["own"] / result["weight"]
    return result[list(COLUMNS)]


def _with_pools(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return the jobs with their function, their pool's place, and whether that was made in and for their request."""
    get = jobs["attributes"].map
    age_ns = get(lambda attributes: _number(attributes, schema.POOL_AGE_NS))
    made_ns = jobs["start_ns"] - age_ns.fillna(0).astype("int64")
    pool_id = get(lambda attributes: _number(attributes, schema.POOL_ID))
    # two processes may use the same pool number, but hardly create both pools in the same millisecond
    pool = pd.Series(list(zip(pool_id, made_ns // 1_000_000, strict=True)), index=jobs.index)
    alone = pool_id.isna() | (jobs.groupby(pool)["request_id"].transform("nunique") == 1)
    # a loop's default executor is created once, by the first request
    default = get(lambda attributes: attributes.get(schema.POOL_NAME)) == schema.POOL_NAME_DEFAULT
    in_turn = jobs["start_ns"] >= jobs.groupby(["request_id", "name"])["end_ns"].shift()  # by start
    count = get(lambda attributes: _number(attributes, schema.COUNT)).fillna(1)
    return jobs.assign(
        jobs=jobs["weight"] * count,
        ns=jobs["weight"] * (jobs["end_ns"] - jobs["start_ns"]),
        turns=jobs["weight"] * count.where(count > 1, in_turn),
        function=jobs["name"].str.removeprefix(schema.JOB_SPAN_PREFIX),
        pool=get(lambda attributes: str(attributes.get(schema.POOL_NAME) or "")),
        own=age_ns.notna() & (made_ns >= jobs["begun_ns"]) & alone & ~default,
        pool_file=get(lambda attributes: str(attributes.get(schema.POOL_FILE) or "")),
        pool_line=get(lambda attributes: _number(attributes, schema.POOL_LINE)),
    )


def _number(attributes: dict[str, Any], key: str) -> float:
    value = attributes.get(key)
    return float(value) if isinstance(value, int) and 0 <= value < 2**53 else nan


def _with_requests(analysis: Analysis) -> pd.DataFrame:
    """Return the job spans, each with the last request of its trace and service that had begun before it."""
    spans = analysis.spans
    is_job = attribute(spans, schema.KIND) == schema.KIND_JOB
    keys = {"trace_id": object, "service": object}  # the two tables may store text in different types
    jobs = spans.loc[is_job, [*keys, "name", "start_ns", "end_ns", "attributes"]].astype(keys)
    if jobs.empty:
        return jobs
    requests = analysis.requests[[*keys, "request_id", "endpoint", "start_ns", "weight"]].astype(keys)
    return pd.merge_asof(
        jobs.sort_values("start_ns"), requests.assign(begun_ns=requests["start_ns"]).sort_values("start_ns"),
        on="start_ns", by=list(keys),
    ).dropna(subset="request_id")  # fmt: skip
