"""One request as lanes of coloured segments, in percent of its wall time. Pure."""

from collections import Counter
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import pandas as pd

from whywait.analysis.causes import CAUSE_OF_WAIT, Cause
from whywait.analysis.measure.felt import both
from whywait.analysis.measure.request_surroundings import LOOP_LANE, scene
from whywait.analysis.model import Analysis
from whywait.analysis.text import milliseconds, safe
from whywait.tracer import schema

MAX_LANES: Final = 40
MAX_TILES: Final = 400  # of one lane
MAX_ROWS: Final = 40  # of the critical path's table
LABEL_SHARE: Final = 0.002  # of the request: from this length on a segment has a label, visible when zoomed in
_RUNNING: Final = "running"
_OTHER: Final = "other"
_ALIVE: Final = "alive"  # of a task from its start to its end, below what it did

_WAIT_CAUSES: Final = {schema.WAIT_AWAIT: "", **CAUSE_OF_WAIT}


@dataclass(frozen=True, slots=True)
class Tile:
    """A segment: `left` and `width` in percent of the request, `kind` a cause, "running", "other", "alive" or "" (awaiting)."""

    left: float
    width: float
    kind: str
    title: str
    label: str = ""  # text that fits on it


@dataclass(frozen=True, slots=True)
class Lane:
    """One activity, the critical path, what blocked it, or the event loop."""

    name: str
    tiles: tuple[Tile, ...]
    cut: int = 0  # shorter pieces that are not drawn


@dataclass(frozen=True, slots=True)
class Timeline:
    """One request."""

    trace_id: str
    endpoint: str
    wall_ms: str
    took: str  # both times, where they differ
    wall_ns: int
    story: str  # one sentence: the longest segment
    path: Lane
    held: Lane  # what blocked each long segment of the critical path, and where
    lanes: tuple[Lane, ...]
    left_out: int  # activities without a lane
    rows: tuple[dict[Any, Any], ...]  # the critical path as a table: PATH_COLUMNS and length_ns
    rows_left_out: int
    causes: tuple[str, ...]  # on the critical path, the longest first
    left_out_ns: int

    @property
    def size(self) -> int:
        """The number of things to draw and to list."""
        lanes = (self.path, self.held, *self.lanes)
        return sum(len(lane.tiles) for lane in lanes) + 2 * len(self.rows)


def timeline(analysis: Analysis, request_id: str) -> Timeline:
    """Return the timeline of one request; its activities in the order in which they began."""
    around = scene(analysis, request_id, bins=1)
    request, path = around.request, around.path.to_dict("records")
    start_ns, wall_ns = int(request["start_ns"]), around.wall_ns
    for row in path:
        row["length_ns"] = row["end_ns"] - row["start_ns"]
    lanes, left_out = _activities(analysis, request, start_ns, wall_ns)
    if len(around.loop):
        lanes = [_loop(around.loop, wall_ns), *lanes]
    listed = sorted(path, key=lambda row: -row["length_ns"])
    rest = listed[MAX_ROWS:]
    return Timeline(
        trace_id=str(request["trace_id"]),
        endpoint=safe(request["endpoint"]),
        wall_ms=milliseconds(wall_ns),
        took=both(request),
        wall_ns=wall_ns,
        story=safe(f"Longest: {_path_title(listed[0])}") if listed else "",
        path=Lane("critical path", tuple(_path_tile(row, wall_ns) for row in _in_time(listed[:MAX_TILES]))),
        held=Lane("blocked by", tuple(_held_tile(row, wall_ns) for row in path if row["culprit"] and _wide(row, wall_ns))),
        lanes=tuple(lanes),
        left_out=left_out,
        rows=tuple(_in_time(listed[:MAX_ROWS])),
        rows_left_out=len(rest),
        causes=_by_length(path),
        left_out_ns=sum(map(itemgetter("length_ns"), rest)),
    )  # fmt: skip


def _by_length(path: list[dict[Any, Any]]) -> tuple[str, ...]:
    sums: Counter[str] = Counter()
    for row in path:
        sums[str(row["cause"])] += int(row["length_ns"])
    return tuple(cause for cause, _ in sums.most_common())


def _in_time(rows: list[dict[Any, Any]]) -> list[dict[Any, Any]]:
    """Return the rows sorted by time: the arrow keys move between them."""
    return sorted(rows, key=lambda row: int(row["start_ns"]))


def _wide(row: dict[Any, Any], wall_ns: int) -> bool:
    return bool(row["length_ns"] >= LABEL_SHARE * wall_ns)


def _path_tile(row: dict[Any, Any], wall_ns: int) -> Tile:
    label = str(row["cause"]) if _wide(row, wall_ns) else ""
    return _tile(row["start_ns"], row["end_ns"], wall_ns, str(row["cause"]), _path_title(row), label)


def _path_title(row: dict[Any, Any]) -> str:
    who = f" by {row['culprit']}" if row["culprit"] else ""
    where = f" ({row['place']})" if who and row["place"] else ""
    return f"{row['cause']} {milliseconds(row['length_ns'])} ms{who}{where}: {row['detail']}"


def _held_tile(row: dict[Any, Any], wall_ns: int) -> Tile:
    label = safe(f"{row['culprit']} {row['place']}".strip(), 80)
    return _tile(row["start_ns"], row["end_ns"], wall_ns, "", _path_title(row), label)


def _loop(loop: pd.DataFrame, wall_ns: int) -> Lane:
    tiles = [
        _tile(
            row["start_ns"], row["end_ns"], wall_ns, _RUNNING if row["own"] else _OTHER,
            f"event loop ran {row['name']} {row['place']} {milliseconds(row['end_ns'] - row['start_ns'])} ms, "
            + ("this request" if row["own"] else f"of trace {row['trace_id']}"),
        )
        for row in loop.to_dict("records")
    ]  # fmt: skip
    return _lane(LOOP_LANE, tiles)


def _activities(analysis: Analysis, request: dict[Any, Any], start_ns: int, wall_ns: int) -> tuple[list[Lane], int]:
    spans = analysis.spans[analysis.spans["trace_id"] == request["trace_id"]].to_dict("records")
    activities, shown = list[dict[Any, Any]](), dict[Any, list[dict[Any, Any]]]()
    for span in spans:  # in order of their start
        kind, owner = span["attributes"].get(schema.KIND), str(span["attributes"].get(schema.ACTIVITY, ""))
        if kind in (schema.KIND_TASK, schema.KIND_JOB):
            activities.append(span)
        elif kind in (schema.KIND_WAIT, schema.KIND_RUN, schema.KIND_BLOCK):
            shown.setdefault(owner, []).append(span)
    lanes = []
    for activity in sorted(activities, key=itemgetter("start_ns", "span_id"))[:MAX_LANES]:
        is_task = activity["attributes"].get(schema.KIND) == schema.KIND_TASK
        tiles = [_bar(activity, start_ns, wall_ns)] if is_task else []
        tiles += [_span_tile(span, start_ns, wall_ns) for span in shown.get(activity["span_id"], ())]
        lanes.append(_lane(safe(activity["name"], 60), tiles))
    return lanes, max(0, len(activities) - MAX_LANES)


def _lane(name: str, tiles: list[Tile]) -> Lane:
    """The longest pieces, in the order of time: a lane that ended early would look idle."""
    seen = [tile for tile in tiles if tile.width > 0]
    drawn = sorted(seen, key=lambda tile: -tile.width)[:MAX_TILES]
    alive_first = sorted(drawn, key=lambda tile: (tile.kind != _ALIVE, tile.left))
    return Lane(name, tuple(alive_first), len(seen) - len(drawn))


def _bar(activity: dict[Any, Any], start_ns: int, wall_ns: int) -> Tile:
    begin, end = int(activity["start_ns"]), int(activity["end_ns"])
    return _tile(begin - start_ns, end - start_ns, wall_ns, _ALIVE, f"{activity['name']}: alive")


def _span_tile(span: dict[Any, Any], start_ns: int, wall_ns: int) -> Tile:
    attributes = span["attributes"]
    kind = _RUNNING
    if attributes.get(schema.KIND) == schema.KIND_WAIT:
        kind = str(_WAIT_CAUSES.get(str(attributes.get(schema.WAIT)), Cause.UNEXPLAINED))
    begin, end = int(span["start_ns"]), int(span["end_ns"])
    title = f"{span['name']} {milliseconds(end - begin)} ms"
    return _tile(begin - start_ns, end - start_ns, wall_ns, kind, title)


def _tile(begin: int, end: int, wall_ns: int, kind: str, title: str, label: str = "") -> Tile:
    left = min(max(begin / wall_ns, 0.0), 1.0)
    right = min(max(end / wall_ns, 0.0), 1.0)
    return Tile(round(left * 100, 3), round((right - left) * 100, 3), kind, safe(title), label)
