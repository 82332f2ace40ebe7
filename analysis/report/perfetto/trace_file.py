"""Writes the tracks as Chrome trace JSON (the "trace event format"), line by line."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

from whywait.analysis.errors import InputError
from whywait.analysis.model import Analysis
from whywait.analysis.report.perfetto.arrows import arrows
from whywait.analysis.report.perfetto.layout import groups
from whywait.analysis.report.perfetto.tracks import Arrow, Group, Track

MOST_REQUESTS: Final = 2_000  # tracks; more would be unreadable
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """How much was written."""

    requests: int
    left_out: int  # requests beyond the limit: the fastest ones
    tracks: int
    slices: int
    arrows: int


def write_perfetto(analysis: Analysis, stream: IO[str], *, detail: int = 20) -> Written:
    """Write the slowest MOST_REQUESTS requests, `detail` of them with all tasks and jobs. Times begin at 0 with the
    first (`otherData`), exact to the nanosecond."""
    if analysis.requests.empty:
        raise InputError("there is no request to export")
    slowest = analysis.requests.sort_values("wall_ns", ascending=False)
    shown = slowest.head(MOST_REQUESTS)
    detailed = [str(request_id) for request_id in shown["request_id"].head(detail)]
    made = groups(analysis, shown, detailed)
    spans = analysis.spans[analysis.spans["trace_id"].isin(shown["trace_id"])]
    found = arrows(made, spans)
    tracks = [track for group in made for track in group.tracks]
    slices = [one for track in tracks for one in track.slices]
    base_ns = min((one.start_ns for one in slices), default=int(shown["start_ns"].min()))
    _write(stream, _events(made, found, base_ns), base_ns)
    return Written(len(shown), len(slowest) - len(shown), len(tracks), len(slices), len(found))


def _write(stream: IO[str], events: Iterable[Event], base_ns: int) -> None:
    head = {"displayTimeUnit": "ns", "otherData": {"tool": "whywait", "zero_unix_ns": str(base_ns)}}
    stream.write(json.dumps(head)[:-1] + ', "traceEvents": [\n')
    for number, event in enumerate(events):
        stream.write((",\n" if number else "") + json.dumps(event, separators=(",", ":")))
    stream.write("\n]}\n")


def _events(made: Sequence[Group], found: Sequence[Arrow], base_ns: int) -> Iterator[Event]:
    for order, group in enumerate(made):
        yield _named("process_name", group.number, 0, {"name": group.name})
        yield _named("process_sort_index", group.number, 0, {"sort_index": order})
        for track in group.tracks:
            yield _named("thread_name", group.number, track.number, {"name": track.name})
            yield _named("thread_sort_index", group.number, track.number, {"sort_index": track.number})
            yield from _begins_and_ends(track, base_ns)
    for number, arrow in enumerate(found, start=1):
        common = {"name": arrow.name, "cat": "whywait", "id": number}
        yield {
            "ph": "s", **common, "pid": arrow.from_track[0], "tid": arrow.from_track[1],
            "ts": _micro(arrow.from_ns - base_ns),
        }  # fmt: skip
        yield {
            "ph": "f", "bp": "e", **common, "pid": arrow.to_track[0], "tid": arrow.to_track[1],
            "ts": _micro(arrow.to_ns - base_ns),
        }  # fmt: skip


def _named(kind: str, group: int, track: int, args: dict[str, object]) -> Event:
    return {"ph": "M", "name": kind, "pid": group, "tid": track, "args": args}


def _begins_and_ends(track: Track, base_ns: int) -> Iterator[Event]:
    # no complete ("X") events: the viewer ends those only with the next one, and an arrow in between
    # would begin at a slice that has ended
    open_until: list[int] = []
    place = {"pid": track.group, "tid": track.number}
    for one in track.slices:
        while open_until and open_until[-1] <= one.start_ns:
            yield {"ph": "E", **place, "ts": _micro(open_until.pop() - base_ns)}
        yield {
            "ph": "B", "name": one.name, "cat": one.category, **place, "ts": _micro(one.start_ns - base_ns),
            "args": dict(one.args),
        }  # fmt: skip
        open_until.append(one.end_ns)
    while open_until:
        yield {"ph": "E", **place, "ts": _micro(open_until.pop() - base_ns)}


def _micro(ns: int) -> float:
    """Microseconds; three decimals are exact for a century of nanoseconds."""
    return round(ns / 1000, 3)
