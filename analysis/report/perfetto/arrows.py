"""Arrows between slices: from a waker to its waiter, and from a submitter to the thread that ran the job."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import pandas as pd

from whywait.analysis.report.perfetto.layout import FIRST_DETAIL
from whywait.analysis.report.perfetto.slices import records
from whywait.analysis.report.perfetto.tracks import Arrow, Group
from whywait.tracer import schema

Places = dict[tuple[str, str], list[tuple[tuple[int, int], int, int]]]  # by span: track, start, end


def arrows(made: Sequence[Group], spans: pd.DataFrame) -> list[Arrow]:
    """Return the arrows with both ends on a track."""
    places, beginnings = _places(made)
    rows = [(row, (str(row["trace_id"]), row["attributes"].get(schema.KIND))) for row in records(spans)]
    runs = {
        (trace_id, str(row["attributes"].get(schema.ACTIVITY, ""))): (trace_id, str(row["span_id"]))
        for row, (trace_id, kind) in rows
        if kind == schema.KIND_RUN
    }
    found: list[Arrow] = []
    for row, (_, kind) in rows:
        if kind == schema.KIND_WAIT and row["attributes"].get(schema.WAKER_SPAN_ID):
            found += _wake(row, row["attributes"], places, runs, beginnings)
        elif kind == schema.KIND_JOB:
            found += _taken_up(row, places, runs)
    return found


def _places(made: Sequence[Group]) -> tuple[Places, Set[tuple[int, int, int]]]:
    """Return where each span is drawn, and where on its track any slice begins."""
    places: Places = defaultdict(list)
    tracks = [track for group in made for track in group.tracks]
    placed = [((track.group, track.number), one) for track in tracks for one in track.slices]
    for track, one in placed:
        places[one.key].append((track, one.start_ns, one.end_ns))
    return places, {(*track, one.start_ns) for track, one in placed}


def _wake(
    row: Mapping[str, Any], attributes: Mapping[str, Any], places: Places,
    runs: Mapping[tuple[str, str], tuple[str, str]], beginnings: Set[tuple[int, int, int]],
) -> Iterable[Arrow]:  # fmt: skip
    own = str(row["trace_id"])
    waker = (str(attributes.get(schema.WAKER_TRACE_ID) or own), str(attributes[schema.WAKER_SPAN_ID]))
    end_ns = int(row["end_ns"])
    # a wait ends when its waker causes the wake-up: in a job's run, at the last moment
    source = _at(places.get(runs.get(waker, waker)), end_ns - 1) or _at(places.get(waker), end_ns - 1)
    for track, _, wait_end_ns in places.get((own, str(row["span_id"])), ()):
        # the slice after the wait begins there; the viewer would reverse an arrow into the wait itself, which may be
        # older than its waker
        if source is not None and (*track, wait_end_ns) in beginnings and source[1] < wait_end_ns:
            yield Arrow("wakes", source[0], source[1], track, wait_end_ns)
            return


def _taken_up(
    row: Mapping[str, Any], places: Places, runs: Mapping[tuple[str, str], tuple[str, str]]
) -> Iterable[Arrow]:
    job = (str(row["trace_id"]), str(row["span_id"]))
    if job not in runs:
        return
    threads = [place for place in places.get(runs[job], []) if place[0][0] < FIRST_DETAIL]
    source = _at(places.get(job), int(row["start_ns"]))
    if threads and source is not None:
        track, begun_ns, _ = threads[0]
        yield Arrow("runs on", source[0], source[1], track, begun_ns)


def _at(places: list[tuple[tuple[int, int], int, int]] | None, moment_ns: int) -> tuple[tuple[int, int], int] | None:
    """The track, and the moment moved into the slice if it misses it by a little (clocks of two threads)."""
    if not places:
        return None
    track, start_ns, end_ns = places[0]
    return track, min(max(moment_ns, start_ns), end_ns - 1)
