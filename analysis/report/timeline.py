"""Pure: one request as lanes of coloured stretches, in parts of its wall time."""

from dataclasses import dataclass
from typing import Final

import pandas as pd

from analysis.causes import Cause
from analysis.model import Analysis
from analysis.report.safe_text import milliseconds, safe, short_place
from tracer import schema

MAX_LANES: Final = 40
MAX_TILES: Final = 400
_RUNNING = "running"

_WAIT_CAUSES: Final = {
    schema.WAIT_AWAIT: "",
    schema.WAIT_POOL_QUEUE: Cause.POOL_QUEUE,
    schema.WAIT_POOL_STARTUP: Cause.POOL_STARTUP,
    schema.WAIT_POOL_SHUTDOWN: Cause.POOL_SHUTDOWN,
    schema.WAIT_POOL_HANDOVER: Cause.UNEXPLAINED,
    schema.WAIT_LIMITER: Cause.LIMITER_WAIT,
    schema.WAIT_LOOP_BUSY: Cause.LOOP_BUSY,
    schema.WAIT_LOOP_WAKEUP: Cause.LOOP_WAKEUP,
    schema.WAIT_RESUME: Cause.UNEXPLAINED,
    schema.WAIT_GC: Cause.GC_PAUSE,
}


@dataclass(frozen=True, slots=True)
class Tile:
    """A stretch: `left` and `width` in percent of the request, `kind` a cause, "running" or "" (awaiting)."""

    left: float
    width: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One activity, or the critical path."""

    name: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """One request."""

    trace_id: str
    endpoint: str
    wall_ms: str
    path: Lane
    lanes: tuple[Lane, ...]
    left_out: int  # activities without a lane


def timeline(analysis: Analysis, request_id: str) -> Timeline:
    """The timeline of one request; its activities in the order in which they began."""
    request = analysis.requests[analysis.requests["request_id"] == request_id].iloc[0]
    start_ns, wall_ns = int(request["start_ns"]), max(int(request["wall_ns"]), 1)
    spans = analysis.spans[analysis.spans["trace_id"] == request["trace_id"]]
    kinds = spans["attributes"].map(lambda attributes: attributes.get(schema.KIND, ""))
    owners = spans["attributes"].map(lambda attributes: attributes.get(schema.ACTIVITY, ""))
    activities = spans[kinds.isin([schema.KIND_TASK, schema.KIND_JOB])].sort_values(["start_ns", "span_id"])
    lanes = []
    for activity in activities.head(MAX_LANES).to_dict("records"):
        own = owners == activity["span_id"]
        shown = spans[own & kinds.isin([schema.KIND_WAIT, schema.KIND_RUN, schema.KIND_BLOCK])]
        tiles = (
            [_bar(activity, start_ns, wall_ns)]
            if activity["attributes"].get(schema.KIND) == schema.KIND_TASK
            else []
        )
        tiles += [
            _span_tile(span, start_ns, wall_ns) for span in shown.sort_values("start_ns").to_dict("records")
        ]
        lanes.append(
            Lane(safe(activity["name"], 60), tuple(tile for tile in tiles[:MAX_TILES] if tile.width > 0))
        )
    return Timeline(
        trace_id=str(request["trace_id"]),
        endpoint=safe(request["endpoint"]),
        wall_ms=milliseconds(wall_ns),
        path=Lane("critical path", _path_tiles(analysis.causes, request_id, start_ns, wall_ns)),
        lanes=tuple(lanes),
        left_out=max(0, len(activities) - MAX_LANES),
    )


def _path_tiles(causes: pd.DataFrame, request_id: str, start_ns: int, wall_ns: int) -> tuple[Tile, ...]:
    own = causes[causes["request_id"] == request_id].sort_values("start_ns")
    # neighbours of one cause and one culprit read better as one
    change = (own["cause"] != own["cause"].shift()) | (own["culprit"] != own["culprit"].shift())
    tiles = []
    for _, rows in own.groupby(change.cumsum()):
        first = rows.iloc[0]
        begin, end = int(rows["start_ns"].iloc[0]), int(rows["end_ns"].iloc[-1])
        who = f" by {first['culprit']}" if first["culprit"] else ""
        place = short_place(first["culprit_file"], first["culprit_line"])
        where = f" ({place})" if who and place else ""
        title = f"{first['cause']} {milliseconds(end - begin)} ms{who}{where}: {first['detail']}"
        tiles.append(_tile(begin, end, start_ns, wall_ns, str(first["cause"]), title))
    return tuple(sorted(tiles, key=lambda tile: -tile.width)[:MAX_TILES])


def _bar(activity: dict[str, object], start_ns: int, wall_ns: int) -> Tile:
    title = f"{activity['name']}: alive"
    return _tile(int(activity["start_ns"]), int(activity["end_ns"]), start_ns, wall_ns, "alive", title)  # type: ignore[call-overload]


def _span_tile(span: dict[str, object], start_ns: int, wall_ns: int) -> Tile:
    attributes: dict[str, object] = span["attributes"]  # type: ignore[assignment]
    kind = _RUNNING
    if attributes.get(schema.KIND) == schema.KIND_WAIT:
        kind = str(_WAIT_CAUSES.get(str(attributes.get(schema.WAIT)), Cause.UNEXPLAINED))
    begin, end = int(span["start_ns"]), int(span["end_ns"])  # type: ignore[call-overload]
    title = f"{span['name']} {milliseconds(end - begin)} ms"
    return _tile(begin, end, start_ns, wall_ns, kind, title)


def _tile(begin: int, end: int, start_ns: int, wall_ns: int, kind: str, title: str) -> Tile:
    left = min(max((begin - start_ns) / wall_ns, 0.0), 1.0)
    right = min(max((end - start_ns) / wall_ns, 0.0), 1.0)
    return Tile(round(left * 100, 3), round((right - left) * 100, 3), kind, safe(title))
