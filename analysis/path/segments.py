"""Cuts the critical path into rows, one per stretch and cause: numbers only, text comes later."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whywait.analysis.path.critical_path import Path
from whywait.analysis.path.exact_shares import scaled
from whywait.analysis.path.pieces import Pieces
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.span_table import NONE, Bools, Ints
from whywait.tracer import schema

# the kinds of amounts of a stretch, in the order of unplaced amounts
CPU, RUN_QUEUE, GIL, LOCK, CALL, SMALL, REST, OUTSIDE = range(8)
_SMALL_TYPES: Final = len(schema.SHORT_TYPES)


@dataclass(frozen=True, slots=True)
class Segments:
    """One row per request and amount, sorted by request and time; they cover each request once."""

    request: Ints
    start: Ints
    end: Ints
    part: Ints  # CPU ... OUTSIDE
    small_type: Ints  # number in SHORT_TYPES where part is SMALL, else NONE
    activity: Ints  # NONE where part is OUTSIDE
    piece: Ints
    placed: Bools
    whole: Bools  # the amount was measured for exactly the part on this critical path


def cut_segments(path: Path, activities: Activities, pieces: Pieces) -> Segments:
    """Return the stretches of the critical paths, cut at the pieces' borders and divided into amounts."""
    inside = path.activity >= 0
    request, activity, start, end, piece = _overlaid(path, inside, activities, pieces)
    length = end - start
    whole_piece = pieces.length[piece]
    amounts = np.stack([*pieces.amounts_ns[piece].T, pieces.small_ns[piece], pieces.rest_ns[piece]], axis=1)
    partial = np.flatnonzero(length < whole_piece)
    amounts[partial] = scaled(amounts[partial], length[partial], whole_piece[partial])
    whole = _is_whole(request, piece, length, pieces)

    outside = np.flatnonzero(~inside)
    nothing = np.full(len(outside), NONE, dtype=np.int64)
    request = np.concatenate([request, path.request[outside]])
    activity = np.concatenate([activity, nothing])
    start = np.concatenate([start, path.start[outside]])
    piece = np.concatenate([piece, nothing])
    whole = np.concatenate([whole, np.zeros(len(outside), dtype=bool)])
    columns = _with_small_types(amounts, pieces.small_by_type, activity[: len(amounts)])
    wide = np.zeros((len(request), columns.shape[1] + 1), dtype=np.int64)
    wide[: len(amounts), :-1] = columns
    wide[len(amounts) :, -1] = (path.end - path.start)[outside]
    return _long(wide, request, activity, start, piece, whole)


def _overlaid(path: Path, inside: Bools, activities: Activities, pieces: Pieces) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Return request, activity, start, end and piece for each piece that a stretch touches."""
    activity = path.activity[inside]
    shift = activities.vstart[activity] - activities.start[activity]
    vstart, vend = path.start[inside] + shift, path.end[inside] + shift
    first = np.searchsorted(pieces.vstart, vstart, side="right") - 1
    count = np.searchsorted(pieces.vstart, vend, side="left") - first
    of = np.repeat(np.arange(len(activity)), count)
    piece = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[of]
    begin = np.maximum(pieces.vstart[piece], vstart[of])
    end = np.minimum(pieces.vstart[piece] + pieces.length[piece], vend[of])
    return path.request[inside][of], activity[of], begin - shift[of], end - shift[of], piece


def _is_whole(request: Ints, piece: Ints, length: Ints, pieces: Pieces) -> Bools:
    """True where everything that was measured together is on the request's critical path."""
    frame = pieces.measured
    total = np.bincount(frame[frame >= 0], weights=pieces.length[frame >= 0], minlength=1)
    measured = frame[piece]
    key = request * (len(total) + 1) + measured
    _, group = np.unique(key, return_inverse=True)
    on_path = np.bincount(group, weights=length, minlength=1)[group]
    by_piece = length == pieces.length[piece]
    waits = pieces.wait[piece] >= 0
    return np.asarray(np.where(waits | (measured < 0), by_piece, on_path == total[measured]), dtype=bool)


def _with_small_types(
    amounts: NDArray[np.int64], small_by_type: NDArray[np.int64], activity: Ints
) -> NDArray[np.int64]:
    """Return what was measured, each type of short wait, rest."""
    wide = np.zeros((len(amounts), SMALL + _SMALL_TYPES + 1), dtype=np.int64)
    wide[:, :SMALL], wide[:, -1] = amounts[:, :SMALL], amounts[:, REST]
    rows = np.flatnonzero(amounts[:, SMALL] > 0)
    types = small_by_type[activity[rows]]
    wide[rows, SMALL:-1] = scaled(types, amounts[rows, SMALL], types.sum(axis=1))
    return wide


def _long(wide: NDArray[np.int64], request: Ints, activity: Ints, start: Ints, piece: Ints, whole: Bools) -> Segments:
    row, column = np.nonzero(wide)  # most are zero: the rest is done for those that are not
    amount = wide[row, column]
    before = np.cumsum(amount) - amount
    first = np.searchsorted(row, row)  # of the same row
    begin = start[row] + before - before[first]
    positive = np.bincount(row[amount > 0], minlength=len(wide))
    order = np.lexsort((start[row], request[row]))
    of, column, amount, begin = row[order], column[order], amount[order], begin[order]
    part_of_column = np.array([*range(SMALL), *[SMALL] * _SMALL_TYPES, REST, OUTSIDE])
    part = part_of_column[column]
    return Segments(
        request=request[of],
        start=begin,
        end=begin + amount,
        part=part,
        small_type=np.where(part == SMALL, column - SMALL, NONE),
        activity=activity[of],
        piece=piece[of],
        placed=positive[of] == 1,
        whole=whole[of],
    )
