"""Pieces: the smallest stretches with one answer, and how each divides into CPU, run queue and rest.

    waits     |      |~~~~~~|                 |~~~~|
    frames    |---------------task-------------------------|
                          |----phase---|
    pieces    |      |      |          |      |    |       |      a frame's border inside a wait is none

CPU and run-queue time were measured over whole frames. An outer frame's amount, less what its inner
frames have, is spread over the pieces it owns, by what is not known of them yet.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whywait.analysis.path.exact_shares import spread
from whywait.analysis.path.running_frames import MEASURES, Frames, measured_amounts
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.span_table import NONE, Bools, Ints, SpanTable, distinct
from whywait.tracer import schema

_READY_WAITS: Final = [
    schema.WAIT_LOGGING, schema.WAIT_POOL_HANDOVER, schema.WAIT_RESUME, schema.WAIT_LOOP_WAKEUP, schema.WAIT_LOOP_BUSY,
    schema.WAIT_COLLECT_ORDER, schema.WAIT_POOL_STARTUP, schema.WAIT_BLOCKING, schema.WAIT_INGRESS,
    schema.WAIT_AWAIT,  # what the thread did that ended it
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pieces:
    """Sorted by virtual time; they cover the activities' lives without a gap."""

    vstart: Ints
    length: Ints
    activity: Ints
    wait: Ints  # number of the wait, NONE while running
    frame: Ints  # number of the frame that names it, NONE
    block: Ints  # number of the stretch on the loop that contains it, NONE
    measured: Ints  # number of the frame whose CPU time was measured, NONE
    queued: Ints  # number of the frame whose run-queue time was measured, NONE
    sampled: Ints  # number of the frame whose blocked time samples divided, NONE
    amounts_ns: NDArray[np.int64]  # pieces × MEASURES
    small_ns: Ints  # waits too short to be spans
    small_by_type: NDArray[np.int64]  # activity × SHORT_TYPES

    @property
    def rest_ns(self) -> Ints:
        return np.asarray(self.length - self.amounts_ns.sum(axis=1) - self.small_ns, dtype=np.int64)


def cut_pieces(spans: SpanTable, activities: Activities, frames: Frames) -> Pieces:
    """Return the pieces of all activities with their amounts."""
    waits = activities.waits
    borders = np.concatenate([frames.vstart, frames.vend])
    inside = np.searchsorted(waits.vstart, borders, side="left") - 1
    if len(waits.vstart):
        borders = borders[(inside < 0) | (waits.vend[inside] <= borders)]
    cuts = distinct(np.concatenate([activities.vstart, activities.vend, waits.vstart, waits.vend, borders]))
    vstart, vend = cuts[:-1], cuts[1:]
    activity = np.searchsorted(activities.vstart, vstart, side="right") - 1
    lived = vstart < activities.vend[activity]
    vstart, vend, activity = vstart[lived], vend[lived], activity[lived]
    wait = _covering(waits.vstart, waits.vend, vstart)
    running = wait < 0
    frame = _innermost(frames, vstart, np.ones(len(frames.vstart), dtype=bool), blocks_last=True)
    frame = np.where(running, frame, NONE)
    length = vend - vstart
    while_ready = _while_ready(spans, activities, wait, length)
    owners, columns, left = [], [], length
    for number, of_frame in enumerate(frames.amounts_ns.T):
        owner, amount = _allocated(frames, of_frame, vstart, left, running)
        amount = np.minimum(amount + while_ready[:, number], left)
        owners.append(owner)
        columns.append(amount)
        left = left - amount
    small_by_type = _small_waits(spans, activities)
    block = np.where(running, _innermost(frames, vstart, frames.is_block, blocks_last=False), NONE)
    room = np.where(running & (block < 0), left, 0)
    small = _place_small(small_by_type.sum(axis=1), room, activity, frame < 0)
    amounts = np.stack(columns, axis=1)
    return Pieces(
        vstart, length, activity, wait, frame, block, owners[0], owners[1], owners[2], amounts, small, small_by_type
    )


def _covering(vstart: Ints, vend: Ints, times: Ints) -> Ints:
    """Return which of the sorted, disjoint intervals contains each time, NONE when none does."""
    if len(vstart) == 0:
        return np.full(len(times), NONE, dtype=np.int64)
    at = np.searchsorted(vstart, times, side="right") - 1
    return np.where((at >= 0) & (vend[at] > times), at, NONE)


def _innermost(frames: Frames, times: Ints, eligible: Bools, *, blocks_last: bool) -> Ints:
    """Return the deepest eligible frame at each time; a block is used only outside phases and runs."""
    found = np.full(len(times), NONE, dtype=np.int64)
    for level in range(frames.levels):
        here = np.flatnonzero(eligible & (frames.level == level))
        at = _covering(frames.vstart[here], frames.vend[here], times)
        hit = at >= 0
        candidate = here[at[hit]] if len(here) else here
        if blocks_last and level > 0:
            current = found[hit]
            outer_is_phase = (current >= 0) & (frames.level[current] > 0) & ~frames.is_block[current]
            candidate = np.where(frames.is_block[candidate] & outer_is_phase, current, candidate)
        found[hit] = candidate
    return found


def _allocated(frames: Frames, amount: Ints, vstart: Ints, room: Ints, running: Bools) -> tuple[Ints, Ints]:
    """Return for each piece the innermost measured frame and its share, by what of each piece is not known yet
    (`room`): an inner frame may have been on CPU throughout."""
    owner = np.where(running, _innermost(frames, vstart, amount >= 0, blocks_last=False), NONE)
    shares = np.zeros(len(vstart), dtype=np.int64)
    level_of_owner = np.where(owner >= 0, frames.level[owner], NONE) if frames.levels else owner
    low = np.searchsorted(vstart, frames.vstart, side="left")
    high = np.searchsorted(vstart, frames.vend, side="left")
    for level in reversed(range(frames.levels)):
        given = np.concatenate([[0], np.cumsum(shares)])
        left = np.maximum(amount - (given[high] - given[low]), 0)
        own = np.flatnonzero(level_of_owner == level)
        shares[own] = spread(left, room[own], owner[own])
    return owner, shares


def _while_ready(spans: SpanTable, activities: Activities, wait: Ints, length: Ints) -> NDArray[np.int64]:
    """Return pieces × MEASURES: what was measured while an activity was ready and not running yet."""
    rows = activities.waits.row
    shares = np.zeros((len(wait), len(MEASURES)), dtype=np.int64)
    types = spans.texts(rows, schema.WAIT) if len(rows) else np.zeros(0, dtype=object)
    ready = np.flatnonzero(np.isin(types, _READY_WAITS))
    if len(ready) == 0:
        return shares
    totals = np.zeros((len(rows), len(MEASURES)), dtype=np.int64)
    totals[ready] = np.maximum(measured_amounts(spans, rows[ready]), 0)
    at = np.flatnonzero(wait >= 0)
    for number in range(len(MEASURES)):
        shares[at, number] = spread(totals[:, number], length[at], wait[at])
    return shares


def _small_waits(spans: SpanTable, activities: Activities) -> NDArray[np.int64]:
    keys = [f"{schema.SMALL_PREFIX}{wait}_ns" for wait in schema.SHORT_TYPES]
    columns = [np.maximum(spans.ints(activities.row, key), 0) for key in keys]
    return np.stack(columns, axis=1) if len(activities.row) else np.zeros((0, len(keys)), dtype=np.int64)


def _place_small(totals: Ints, room: Ints, activity: Ints, unnamed: Bools) -> Ints:
    """Place the sums of short waits first where nothing is known to have run, then anywhere but in blocks."""
    small = np.zeros(len(room), dtype=np.int64)
    left = totals.copy()
    for mask in (unnamed, ~unnamed):
        at = np.flatnonzero(mask & (room > 0))
        small[at] = spread(left, room[at], activity[at])
        left -= np.bincount(activity[at], weights=small[at], minlength=len(totals)).astype(np.int64)
    return small
