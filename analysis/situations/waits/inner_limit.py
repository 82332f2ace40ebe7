"""A limit inside one request or job: many tasks of one function go through few places.

item 1   |--has a place--|
item 2   ~~~~waits~~~~~~~~|--has a place--|
item 3   ~~~~~~~~~~~~~~~~~waits~~~~~~~~~~~~|--has a place--|
"""

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from whywait.analysis.attribution.culprit_names import in_library
from whywait.analysis.causes import Cause
from whywait.analysis.grouped import columns
from whywait.analysis.model import attribute
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MANY_AWAITS, MIN_HELD
from whywait.analysis.situations.what_helps import is_lock, stands_in
from whywait.analysis.spans.awaited import awaits, is_of
from whywait.analysis.text import place
from whywait.tracer import schema

_PLACES: Final = (schema.WAIT_LIMITER, schema.WAIT_CONNECTION)
_MOST_NAMED: Final = 3
_ASK_ONCE: Final = "Ask the database once for all of them (`= ANY(...)`, `IN`, a join; for resolvers of GraphQL a DataLoader gathers what they ask). "
_UNDER_LOCK: Final = "await less (where a sleep keeps to a rate, raise that, or ask less) under"
_CAUSES: Final = frozenset((Cause.LIMITER_WAIT, Cause.CONNECTION_WAIT, Cause.AWAIT_IO))


def inner_limit(group: Group) -> Iterator[Pattern]:
    """Yield the limit for which the tasks of each request waited longest, where that was significant."""
    if not _CAUSES & set(group.significant):
        return
    spans = group.own_spans
    kinds = attribute(spans, schema.KIND)
    tasks = spans[kinds == schema.KIND_TASK]
    table = _turns(spans[kinds == schema.KIND_WAIT]).merge(tasks, on=["trace_id", "span_id"])
    if table.empty:
        return
    keys = ["trace_id", "name"]
    found = columns(
        table.groupby([*keys, "where"]), waited=("span_id", "nunique"), ns=("ns", "max"), size=("size", "first")
    ).reset_index()
    found = found.merge(tasks.groupby(keys).size().rename("items").reset_index(), on=keys)
    found["through"] = found["size"].where(found["size"] > 0, found["items"] - found["waited"])
    found = found[(found["items"] >= MANY_AWAITS) & (found["through"] > 0) & (found["items"] >= 2 * found["through"])]
    means = found.groupby(["name", "where"], as_index=False)[["items", "through", "ns"]].mean().nlargest(1, "ns")
    for row in means[means["ns"] >= group.least_ns].to_dict("records"):
        own = table[table["name"] == row["name"]]
        name = str(row["name"]).removeprefix(schema.TASK_SPAN_PREFIX)
        if in_library(str(own["attributes"].iloc[0].get(schema.CODE_FILE) or "")):  # as what resolves GraphQL
            name = ", ".join(own["by"].value_counts().index[:_MOST_NAMED]) or name
        once = _ASK_ONCE * bool(own["database"].mean() >= MIN_HELD)
        less = _UNDER_LOCK if is_lock({schema.FOR: row["where"]}) else "raise the limit on"
        said = {**row, "name": name, "once": once, "less": f"Else {less}" if once else f"{less[0].upper()}{less[1:]}"}
        yield Pattern(Situation.INNER_LIMIT, None, said)  # type: ignore[arg-type]


def _turns(spans: pd.DataFrame) -> pd.DataFrame:
    columns = (spans[name] for name in ("trace_id", "attributes", "start_ns", "end_ns"))
    waits = [
        (trace_id, attributes.get(schema.ACTIVITY), _where(attributes), end_ns - start_ns, _size(attributes),
         _by(attributes), is_of(attributes, schema.PACKAGE_DATABASE))
        for trace_id, attributes, start_ns, end_ns in zip(*columns, strict=True)
        if _is_turn(attributes, trace_id)
    ]  # fmt: skip
    return pd.DataFrame(waits, columns=["trace_id", "span_id", "where", "ns", "size", "by", "database"])


def _by(attributes: dict[str, Any]) -> str:
    """The outermost of the user's functions that is known to have come to wait there."""
    callers = attributes.get(schema.CALLERS)
    return str(callers[-1]) if isinstance(callers, list) and callers else stands_in(attributes)


def _is_turn(attributes: dict[str, Any], trace_id: str) -> bool:
    """Whether this waited for a place that another task of the same request gave back."""
    returned = attributes.get(schema.WAKER_SPAN_ID) or attributes.get(schema.BLOCKER_SPAN_ID)
    by = attributes.get(schema.BLOCKER_TRACE_ID) or attributes.get(schema.WAKER_TRACE_ID) or trace_id
    is_place = attributes.get(schema.WAIT) in _PLACES or awaits(attributes, f"{schema.FOR_HELD}|{schema.FOR_SIGNAL}")
    is_place &= not awaits(attributes, schema.FOR_EVENT)  # nobody takes one
    return bool(returned and is_place and by == trace_id)


def _where(attributes: dict[str, Any]) -> str:
    at = place(attributes.get(schema.CODE_FILE), attributes.get(schema.CODE_LINE))
    name, knob = attributes.get(schema.POOL_NAME) or attributes.get(schema.FOR) or "", attributes.get(schema.POOL_KNOB)
    return " in ".join(filter(None, (f"{name} ({knob})" if knob else str(name), at)))


def _size(attributes: dict[str, Any]) -> int:
    """Of a pool of connections, which is known; of others, those who did not wait tell it."""
    size = attributes.get(schema.POOL_SIZE) if attributes.get(schema.WAIT) == schema.WAIT_CONNECTION else 0
    return size if isinstance(size, int) else 0
