"""The spans of requests as columns: whose they are, in which process, and what was measured in them."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whywait.analysis.attributes import objects
from whywait.analysis.attribution.culprit_names import positive_ns
from whywait.analysis.model import Analysis, attribute, attributes_of, identities
from whywait.analysis.spans.awaited import all_awaits
from whywait.analysis.spans.held_loop import nobodys_blocks
from whywait.analysis.text import in_brackets, place
from whywait.tracer import schema

_NUMBERS: Final = {
    "cpu_ns": schema.CPU_NS, "run_queue_ns": schema.RUN_QUEUE_NS, "gil_ns": schema.GIL_NS, "run_ns": schema.RUN_NS,
    "size": schema.POOL_SIZE, "pool_id": schema.POOL_ID, "device_ns": schema.DEVICE_NS, "cpus": schema.CPU_COUNT,
    "lock": schema.LOCK_ID, "turns": schema.FOR_TURNS,
}  # fmt: skip
_TEXTS: Final = {
    "kind": schema.KIND,
    "wait": schema.WAIT,
    "activity": schema.ACTIVITY,
    "device": schema.DEVICE,
    "function": schema.CODE_FUNCTION,
    "awaited": schema.FOR,
    "module": schema.FOR_MODULE,
    "task": schema.FOR_TASK,
}
_QUOTA: Final = (schema.CPU_QUOTA_NS, schema.CPU_PERIOD_NS)
_NEEDED: Final = (
    schema.KIND_TASK,
    schema.KIND_JOB,
    schema.KIND_RUN,
    schema.KIND_WAIT,
    schema.KIND_BLOCK,
    schema.KIND_PHASE,
)
_OF_JOB: Final = ("trace_id", "activity", "pool", "size")
_PLACES: Final = (
    (schema.LOCK_FILE, schema.LOCK_LINE),
    (schema.POOL_FILE, schema.POOL_LINE),
    (schema.CODE_FILE, schema.CODE_LINE),
)
_OF_POOL: Final = (schema.POOL_NAME, schema.POOL_FILE, schema.POOL_LINE)
_OF_WAIT: Final = (
    *chain.from_iterable(_PLACES), schema.LOCK_KIND, schema.POOL_NAME, schema.HANDLER, schema.FOR,
)  # fmt: skip


def own_spans(analysis: Analysis) -> pd.DataFrame:
    """Return one row per span that whywait made for an analysed request: its `request_id`, `process`, `ns`, `kind`,
    the pool of its job, what it waited for, and what was measured in it (0 where nothing was)."""
    spans = analysis.spans
    of = spans[attribute(spans, schema.KIND).isin(_NEEDED)]
    attributes = attributes_of(of)
    keys = (*_NUMBERS.values(), *_TEXTS.values(), *_QUOTA, *schema.PROCESS_KEYS, schema.PROCESS)
    asked = attributes.columns(keys)
    table = pd.DataFrame(
        {name: pd.Series(of[name].to_numpy(dtype=object), dtype=object) for name in ("trace_id", "service")}
        | {name: of[name].to_numpy(dtype=np.int64) for name in ("start_ns", "end_ns")}
        | {name: _numbers(asked[key]) for name, key in _NUMBERS.items()}
        | {name: pd.Series(_texts(asked[key]), dtype=object) for name, key in _TEXTS.items()}
    )
    table["span_id"] = objects(identities(of).tolist())
    table["name"], table["ns"] = "", (table["end_ns"] - table["start_ns"]).astype(np.float64)
    table["process"] = _processes(of, asked)
    table["remote"] = [one is True for one in asked[schema.PROCESS]]
    quota_ns, period_ns = (_numbers(asked[key]) for key in _QUOTA)
    quota = quota_ns / np.where(period_ns > 0, period_ns, 1.0)
    table["cpus"] = table["cpus"].where((quota == 0) | (table["cpus"] < quota), quota)
    table["device_ns"] = table["device_ns"].where(table["device_ns"] > 0, table["ns"])
    table["of"] = _called(attributes, table["kind"] == schema.KIND_WAIT, _OF_WAIT, _what)
    table["of"] = _one_name(table)
    table["limited"] = all_awaits(table["awaited"], table["module"], schema.FOR_HELD)
    table["limited"] &= table["wait"] == schema.WAIT_AWAIT
    table["pool"] = _called(attributes, table["kind"] == schema.KIND_JOB, _OF_POOL, _pool)
    table = _with_pools(table)
    return _with_requests(table, analysis)


def _one_name(table: pd.DataFrame) -> "pd.Series[Any]":
    """Return what each wait was for, by one name a lock, where several lines wait for it: by that where most time passed."""
    keys = ["process", "lock"]
    sums = table[table["lock"] > 0].groupby([*keys, "of"])["ns"].sum().sort_values()
    chief = table[keys].merge(sums.reset_index().drop_duplicates(keys, keep="last"), on=keys, how="left")["of"]
    return chief.set_axis(table.index).fillna(table["of"])


def _processes(of: pd.DataFrame, asked: "dict[str, list[Any]]") -> list[str]:
    """How the process of each span is called."""
    whose = list(zip(of["service"].tolist(), *(_texts(asked[key]) for key in schema.PROCESS_KEYS), strict=True))
    called = {one: " ".join(filter(None, one)) for one in set(whose)}
    return list(map(called.__getitem__, whose))


def nobodys_time(analysis: Analysis) -> pd.DataFrame:
    """Return when work of no request held the loop of which `process`: `start_ns`, `end_ns`, and the `cpu_ns` of it."""
    blocks = nobodys_blocks(analysis.spans)
    asked = attributes_of(blocks).columns((*schema.PROCESS_KEYS, schema.CPU_NS))
    return blocks[["start_ns", "end_ns"]].assign(
        process=_processes(blocks, asked), cpu_ns=_numbers(asked[schema.CPU_NS])
    )


def _called(
    attributes: Any, chosen: "pd.Series[bool]", keys: Sequence[str], call: Callable[[dict[str, Any]], str]
) -> NDArray[Any]:
    """Return what the chosen spans are called by some of their attributes, once for all that are alike; "" of others."""
    is_one = chosen.to_numpy(dtype=bool)
    told = list(zip(*attributes[is_one].columns(keys).values(), strict=True))
    known = {
        one: call({key: value for key, value in zip(keys, one, strict=True) if value is not None}) for one in set(told)
    }
    names = np.full(len(is_one), "", dtype=object)
    names[is_one] = objects([known[one] for one in told])
    return names


def _with_pools(table: pd.DataFrame) -> pd.DataFrame:
    """Give each span of a job the `pool` of the job, and how many workers that has: 0 where there are several of its name."""
    is_job = (table["kind"] == schema.KIND_JOB).to_numpy(dtype=bool)
    jobs = table.loc[is_job, ["trace_id", "activity", "size", "pool_id", "process", "pool"]]
    jobs["size"] = jobs["size"].where(jobs.groupby(["process", "pool"])["pool_id"].transform("nunique") == 1, 0.0)
    jobs = jobs.drop_duplicates(["trace_id", "activity"])
    of = {(trace_id, job): made for trace_id, job, *made in zip(*(jobs[name] for name in _OF_JOB), strict=True)}
    own = [of.get(one, ("", 0.0)) for one in zip(table["trace_id"].tolist(), table["activity"].tolist(), strict=True)]
    return table.rename(columns={"size": "slots"}).assign(
        pool=objects([pool for pool, _ in own]), size=np.array([size for _, size in own], dtype=np.float64),
        slots=table["size"].clip(lower=1.0),
    )  # fmt: skip


def _with_requests(table: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """Give each span the last request of its trace and service that had begun before it."""
    keys = {"trace_id": object, "service": object}
    requests = analysis.analysed[[*keys, "request_id", "start_ns", "weight"]].astype(keys)
    if not requests.duplicated(list(keys)).any():
        return table.merge(requests.drop(columns="start_ns"), on=list(keys)).reset_index(drop=True)
    begun = requests.sort_values("start_ns")
    found = pd.merge_asof(table.astype(keys).sort_values("start_ns"), begun, on="start_ns", by=list(keys))
    return found.dropna(subset="request_id").reset_index(drop=True)


def _numbers(values: list[Any]) -> NDArray[np.float64]:
    known = [0 if value is None else value for value in values]
    if not set(map(type, known)) <= {int} or min(known, default=0) < 0:
        known = list(map(positive_ns, known))
    return np.array(known, dtype=np.float64)


def _texts(values: list[Any]) -> list[str]:
    return ["" if value is None else str(value) for value in values]


def _pool(one: dict[str, Any]) -> str:
    return str(one.get(schema.POOL_NAME) or place(one.get(schema.POOL_FILE), one.get(schema.POOL_LINE)))


def _what(one: dict[str, Any]) -> str:
    """Which lock, connection pool or handler a wait was for."""
    at = next((place(one[file], one.get(line)) for file, line in _PLACES if one.get(file)), "")
    if schema.POOL_NAME in one and schema.POOL_FILE not in one:
        at = ""  # where a token of a library's own pool was asked for, in that library, is nothing to look at
    kinds = (one.get(key) for key in (schema.LOCK_KIND, schema.POOL_NAME, schema.HANDLER, schema.FOR))
    return f"{next(filter(None, kinds), '')}{in_brackets(at)}"
