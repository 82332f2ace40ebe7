"""Frames: named stretches of running (task, run, phase, block), nested within each activity.

Phases nest by themselves. A block, one stretch on the loop, may begin inside a phase and end outside;
it is cut at the phase's border, so that frames always nest:

    phase    |-----------------|
    block              |----------------|      becomes   |-----------| inside and |-----| outside
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whywait.analysis.path.exact_shares import spread
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.span_table import NONE, Bools, Ints, SpanTable, distinct
from whywait.tracer import schema

DEEPEST: Final = 64
# what was measured of a whole frame, in its order within a piece
MEASURES: Final = (schema.CPU_NS, schema.RUN_QUEUE_NS, schema.GIL_NS, schema.LOCK_NS, schema.CALL_NS)
SAMPLED: Final = slice(2, 5)


@dataclass(frozen=True, slots=True)
class Frames:
    """Sorted by virtual time, outermost first; frames of one level are disjoint."""

    vstart: Ints
    vend: Ints
    row: Ints
    level: Ints
    amounts_ns: NDArray[np.int64]  # frames × MEASURES, NONE when not measured
    is_block: Bools
    levels: int


def nested_frames(spans: SpanTable, activities: Activities) -> Frames:
    """Return the frames of all recorded activities, clipped to nest."""
    kinds = spans.kinds
    outer = activities.row[~activities.is_job & ~activities.foreign]
    inner = np.flatnonzero(
        (activities.of_row >= 0) & np.isin(kinds, [schema.KIND_RUN, schema.KIND_PHASE, schema.KIND_BLOCK])
    )
    row = distinct(np.concatenate([outer, inner]).astype(np.int64))
    owner = activities.of_row[row]
    shift = activities.vstart[owner] - activities.start[owner]
    start = np.clip(spans.start[row], activities.start[owner], activities.end[owner])
    end = np.clip(spans.end[row], activities.start[owner], activities.end[owner])
    is_block = kinds[row] == schema.KIND_BLOCK
    amounts = measured_amounts(spans, row)
    vstart, vend = start + shift, end + shift
    is_phase = (kinds[row] == schema.KIND_PHASE) & ~np.isin(row, activities.row)
    cut_at, cut = _crossings(vstart, vend, is_block, is_phase)
    index, vstart, vend = _cut(vstart, vend, cut_at, cut)
    length = np.maximum(vend - vstart, 0)
    parts = np.bincount(index, minlength=len(row))
    whole: Bools = np.asarray(parts[index] == 1, dtype=bool)
    parts_ns = np.stack(
        [np.where(whole | (of[index] < 0), of[index], spread(of, length, index)) for of in amounts.T], axis=1
    )
    # among equal stretches the task or run is outside, the phase inside
    rank = np.where(is_phase, 2, np.where(is_block, 1, 0))[index]
    order = np.lexsort((row[index], rank, -vend, vstart))
    order = order[length[order] > 0]
    index, vstart, vend = index[order], vstart[order], vend[order]
    level, vend = _levels(vstart, vend)
    kept = level >= 0
    return Frames(
        vstart=vstart[kept], vend=vend[kept], row=row[index][kept], level=level[kept], amounts_ns=parts_ns[order][kept],
        is_block=is_block[index][kept], levels=int(level.max(initial=NONE)) + 1,
    )  # fmt: skip


def measured_amounts(spans: SpanTable, row: Ints) -> NDArray[np.int64]:
    """Return spans × MEASURES; what samples split counts as measured where they were enough to split."""
    amounts = np.stack([spans.ints(row, key) for key in MEASURES], axis=1)
    # a part without samples counts as 0 where the stretch has samples at all
    sampled = np.asarray(np.any(amounts[:, SAMPLED] >= 0, axis=1), dtype=bool)
    amounts[:, SAMPLED] = np.where(np.expand_dims(sampled, 1), np.maximum(amounts[:, SAMPLED], 0), amounts[:, SAMPLED])
    return amounts


def _crossings(vstart: Ints, vend: Ints, is_block: Bools, is_phase: Bools) -> tuple[Ints, Ints]:
    """Return where blocks are crossed by the borders of phases, and which block each time."""
    blocks = np.flatnonzero(is_block)
    blocks = blocks[np.argsort(vstart[blocks], kind="stable")]
    phases = np.flatnonzero(is_phase)
    if len(blocks) == 0 or len(phases) == 0:
        return vstart[:0], vstart[:0]
    inside_start = _strictly_inside(vstart[blocks], vend[blocks], vstart[phases])
    inside_end = _strictly_inside(vstart[blocks], vend[blocks], vend[phases])
    crossing = inside_start != inside_end
    times, which = [], []
    for inside, borders in ((inside_start, vstart[phases]), (inside_end, vend[phases])):
        cut = crossing & (inside >= 0)
        times.append(borders[cut])
        which.append(blocks[inside[cut]])
    return np.concatenate(times), np.concatenate(which)


def _strictly_inside(vstart: Ints, vend: Ints, times: Ints) -> Ints:
    at = np.searchsorted(vstart, times, side="left") - 1
    inside = (at >= 0) & (vend[at] > times)
    return np.where(inside, at, NONE)


def _cut(vstart: Ints, vend: Ints, cut_at: Ints, cut: Ints) -> tuple[Ints, Ints, Ints]:
    """Return index, start and end of the parts; the parts of one frame are adjacent."""
    index = np.concatenate([np.arange(len(vstart)), cut])
    begin = np.concatenate([vstart, cut_at])
    order = np.lexsort((begin, index))
    index, begin = index[order], begin[order]
    last = np.append(index[1:] != index[:-1], True)[: len(index)]
    end = np.where(last, vend[index], np.append(begin[1:], 0)[: len(begin)])
    return index, begin, end


def _levels(vstart: Ints, vend: Ints) -> tuple[Ints, Ints]:
    """Return the depth of each sorted frame (NONE beyond DEEPEST) and its end clipped to its parent's."""
    level = np.full(len(vstart), NONE, dtype=np.int64)
    vend = vend.copy()
    rest = np.arange(len(vstart))
    for depth in range(DEEPEST):
        if len(rest) == 0:
            break
        before = np.concatenate([[NONE], np.maximum.accumulate(vend[rest])[:-1]])
        top = vstart[rest] >= before
        level[rest[top]] = depth
        below = rest[~top]
        parent = rest[top][np.searchsorted(vstart[rest[top]], vstart[below], side="right") - 1]
        vend[below] = np.minimum(vend[below], vend[parent])
        rest = below[vstart[below] < vend[below]]
    return level, vend
