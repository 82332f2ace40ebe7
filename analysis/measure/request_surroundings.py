"""One request and its surroundings: the event loop, the workers, the GIL and the CPUs while it was open.

critical path   |pool_queue............|compute|loop_busy.....|
event loop      |a||other request      |       |other request |
worker 1        |other's job  |other's job |own job|
GIL             how many threads waited for it, over time
CPU             how many threads ran, over time
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.grouped import columns
from whywait.analysis.measure.selection import request_row
from whywait.analysis.model import Analysis, attribute
from whywait.analysis.text import place
from whywait.tracer import schema

BINS: Final = 160
LOOP_LANE: Final = "event loop"
PATH_COLUMNS: Final = ("start_ns", "end_ns", "cause", "culprit", "place", "culprit_trace_id", "detail")
WORK_COLUMNS: Final = ("lane", "start_ns", "end_ns", "name", "place", "own", "trace_id")
STRIP_COLUMNS: Final = ("start_ns", "end_ns", "on_cpu", "cpu_wait", "gil_wait")


@dataclass(frozen=True, slots=True)
class Scene:
    """One request and its surroundings. All times are ns since the request began, clipped to its wall time."""

    request: dict[str, Any]  # REQUEST_COLUMNS
    wall_ns: int
    path: pd.DataFrame  # PATH_COLUMNS: the critical path; neighbours with one cause and culprit are merged
    loop: pd.DataFrame  # WORK_COLUMNS: what the event loop ran in long stretches
    workers: pd.DataFrame  # WORK_COLUMNS: jobs on worker threads, of this request and of others
    strips: pd.DataFrame  # STRIP_COLUMNS: threads in each state, on average over the bin


def scene(analysis: Analysis, request_id: str | None = None, *, bins: int = BINS) -> Scene:
    """Return the surroundings of a request, by default of the slowest. The strips spread an amount evenly over its
    job or stretch. Raises InputError for an unknown request."""
    request = request_row(analysis, request_id)
    begin, wall = int(request["start_ns"]), max(int(request["wall_ns"]), 1)
    spans = analysis.spans
    near = spans[(spans["end_ns"] > begin) & (spans["start_ns"] < begin + wall)]
    near = near[near["service"] == request["service"]]  # texts are compared of few
    kinds = attribute(near, schema.KIND)
    work = near[kinds.isin([schema.KIND_RUN, schema.KIND_BLOCK])]
    table = _work(work, kinds[work.index], str(request["trace_id"]), begin, wall)
    on_loop = table["lane"] == LOOP_LANE
    return Scene(
        request, wall, path_of(analysis, request), table[on_loop].reset_index(drop=True),
        _by_lane(table[~on_loop]), _strips(work, begin, wall, bins),
    )  # fmt: skip


def path_of(analysis: Analysis, request: dict[str, Any]) -> pd.DataFrame:
    """Return a request's critical path (PATH_COLUMNS), ns since it began; neighbours with one cause and culprit are merged."""
    own = analysis.causes[analysis.causes["request_id"] == request["request_id"]].sort_values("start_ns")
    keys = ["cause", "culprit", "culprit_file"]
    change = (own[keys] != own[keys].shift()).any(axis=1).cumsum()
    longest = own.loc[own.groupby(change)["amount_ns"].idxmax()]
    bounds = columns(own.groupby(change), start_ns=("start_ns", "min"), end_ns=("end_ns", "max"))
    begin = int(request["start_ns"])
    return pd.DataFrame(
        {
            "start_ns": bounds["start_ns"].to_numpy() - begin,
            "end_ns": bounds["end_ns"].to_numpy() - begin,
            "cause": longest["cause"].to_numpy(dtype=object),
            "culprit": longest["culprit"].to_numpy(dtype=object),
            "place": [
                place(file, None if pd.isna(line) else int(line))
                for file, line in zip(longest["culprit_file"], longest["culprit_line"], strict=True)
            ],
            "culprit_trace_id": longest["culprit_trace_id"].to_numpy(dtype=object),
            "detail": longest["detail"].to_numpy(dtype=object),
        },
        columns=list(PATH_COLUMNS),
    )


def _work(work: pd.DataFrame, kinds: "pd.Series[str]", trace_id: str, begin: int, wall: int) -> pd.DataFrame:
    attributes = work["attributes"].tolist()
    lanes = [
        LOOP_LANE if kind == schema.KIND_BLOCK
        else f"{one.get(schema.THREAD_NAME) or 'thread'} ({one.get(schema.THREAD_ID, '?')})"
        for kind, one in zip(kinds, attributes, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(
        {
            "lane": lanes,
            "start_ns": (work["start_ns"] - begin).clip(0, wall).to_numpy(),
            "end_ns": (work["end_ns"] - begin).clip(0, wall).to_numpy(),
            "name": work["name"].str.removeprefix(schema.BLOCK_SPAN_PREFIX).to_numpy(dtype=object),
            "place": [place(one.get(schema.CODE_FILE), one.get(schema.CODE_LINE)) for one in attributes],
            "own": (work["trace_id"] == trace_id).to_numpy(),
            "trace_id": work["trace_id"].to_numpy(dtype=object),
        },
        columns=list(WORK_COLUMNS),
    )


def _by_lane(workers: pd.DataFrame) -> pd.DataFrame:
    """Workers of the request first, in the order in which they began."""
    first = workers["start_ns"].where(workers["own"]).groupby(workers["lane"]).min().rename("first")
    order = workers.join(first, on="lane").sort_values(["first", "lane", "start_ns"], na_position="last")
    return order.drop(columns="first").reset_index(drop=True)


def _strips(work: pd.DataFrame, begin: int, wall: int, bins: int) -> pd.DataFrame:
    edges = np.linspace(0, wall, bins + 1)
    start = work["start_ns"].to_numpy()[:, None] - begin
    end = work["end_ns"].to_numpy()[:, None] - begin
    overlap = np.clip(np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1]), 0, None)
    length = np.maximum(end - start, 1)
    width = max(wall / bins, 1e-9)
    columns: dict[str, Any] = {"start_ns": edges[:-1].astype(np.int64), "end_ns": edges[1:].astype(np.int64)}
    for name, key in (
        ("on_cpu", schema.CPU_NS), ("cpu_wait", schema.RUN_QUEUE_NS), ("gil_wait", schema.GIL_NS),
    ):  # fmt: skip
        amount = np.array([_count(one.get(key)) for one in work["attributes"]], dtype=float).reshape(-1, 1)
        columns[name] = (np.minimum(amount / length, 1.0) * overlap).sum(axis=0) / width
    return pd.DataFrame(columns, columns=list(STRIP_COLUMNS))


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
