"""A limit inside one request or job: many tasks of one function go through few places.

item 1   |--has a place--|
item 2   ~~~~waits~~~~~~~~|--has a place--|
item 3   ~~~~~~~~~~~~~~~~~waits~~~~~~~~~~~~|--has a place--|
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Situation
from whywait.analysis.situations.thresholds import MANY_AWAITS, MIN_MEAN_NS, MIN_SHARE
from whywait.analysis.text import place
from whywait.tracer import schema

_LIMITER: Final = re.compile(schema.FOR_LIMITER)
_PLACES: Final = (schema.WAIT_LIMITER, schema.WAIT_CONNECTION)
_CAUSES: Final = frozenset((Cause.LIMITER_WAIT, Cause.CONNECTION_WAIT, Cause.AWAIT_IO))


@dataclass(frozen=True, slots=True)
class InnerLimit:
    """Tasks of one request waited for one another's places, per request on average."""

    kind: ClassVar = Situation.INNER_LIMIT
    function: str
    items: float
    through: float  # places
    where: str  # they are waited for
    mean_ns: float  # the longest wait for one


def inner_limit(group: Group) -> Iterator[InnerLimit]:
    """Yield the limit for which the tasks of each request waited longest, where that was significant."""
    if not _CAUSES & set(group.significant):
        return
    spans = group.spans[group.spans["trace_id"].isin(group.requests["trace_id"])]
    kinds = spans["attributes"].map(lambda attributes: attributes.get(schema.KIND))
    tasks = spans[kinds == schema.KIND_TASK]
    waits = spans[(kinds == schema.KIND_WAIT).to_numpy() & spans["attributes"].map(_is_turn).to_numpy(dtype=bool)]
    get = waits["attributes"].map
    waits = waits.assign(
        span_id=get(lambda attributes: attributes.get(schema.ACTIVITY, "")), ns=waits["end_ns"] - waits["start_ns"],
        by=get(lambda attributes: attributes.get(schema.BLOCKER_TRACE_ID) or attributes.get(schema.WAKER_TRACE_ID)),
        where=get(_where),
    )  # fmt: skip
    waits = waits[waits["by"].isna() | (waits["by"] == waits["trace_id"])]
    waits = waits.merge(tasks[["trace_id", "span_id", "name"]], on=["trace_id", "span_id"], suffixes=("_of", ""))
    found = (
        waits.groupby(["trace_id", "name", "where"]).agg(waited=("span_id", "nunique"), ns=("ns", "max")).reset_index()
    )
    found = found.merge(
        tasks.groupby(["trace_id", "name"]).size().rename("items").reset_index(), on=["trace_id", "name"]
    )
    found["through"] = found["items"] - found["waited"]
    found = found[(found["items"] >= MANY_AWAITS) & (found["through"] > 0) & (found["items"] >= 2 * found["through"])]
    means = found.groupby(["name", "where"])[["items", "through", "ns"]].mean()
    if len(means) and means["ns"].max() >= max(MIN_MEAN_NS, MIN_SHARE * group.mean_wall_ns):
        name, where = means["ns"].idxmax()
        items, through, ns = map(float, means.loc[(name, where)])
        yield InnerLimit(str(name).removeprefix("task "), items, through, str(where), ns)


def _is_turn(attributes: dict[str, Any]) -> bool:
    """Whether this waited for a place that another task of a request gave back."""
    awaited = f"{attributes.get(schema.FOR_MODULE)}.{attributes.get(schema.FOR)}"
    returned = attributes.get(schema.WAKER_SPAN_ID) or attributes.get(schema.BLOCKER_SPAN_ID)
    return bool(returned) and (_LIMITER.match(awaited) is not None or attributes.get(schema.WAIT) in _PLACES)


def _where(attributes: dict[str, Any]) -> str:
    at = place(attributes.get(schema.CODE_FILE), attributes.get(schema.CODE_LINE))
    return " in ".join(filter(None, (str(attributes.get(schema.POOL_NAME) or attributes.get(schema.FOR) or ""), at)))
