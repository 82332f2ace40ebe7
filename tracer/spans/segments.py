"""Pure: divides a stretch of waiting into tiles that touch, from what ran, slept or was held meanwhile."""

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Final, NamedTuple

from whywait.tracer.records.loop import Callback, Look
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Job, Pool
from whywait.tracer.schema import (
    WAIT_COLLECT_ORDER,
    WAIT_LOOP_BUSY,
    WAIT_LOOP_WAKEUP,
    WAIT_POOL_HANDOVER,
    WAIT_POOL_QUEUE,
    WAIT_POOL_STARTUP,
    WAIT_RESUME,
)

_PASSING_NS = 200_000
_JOIN_NS = 50_000  # a gap this short between two callbacks is the loop's own work
_STRETCH: Final = itemgetter(0, 1)


class Tile(NamedTuple):
    """One stretch with one reason; `callbacks` are those that ran in it, clipped to it. The loop's thread
    was runnable without a CPU for `run_queue_ns` of it, where that is known."""

    kind: str
    start_ns: int
    end_ns: int
    callbacks: tuple[Callback, ...] = ()
    run_queue_ns: int | None = None


def loop_tiles(
    start_ns: int, end_ns: int, callbacks: Iterable[Callback], looks: Iterable[Look]
) -> list[Tile]:
    """What the loop did between a wake-up's cause and the woken task's next step.

    `callbacks` and `looks` are those that may overlap, in order. Returns tiles that cover the stretch:
    `loop_busy` where callbacks ran, `loop_wakeup` where the loop still slept, `resume` elsewhere.
    """
    pieces: list[tuple[int, int, Callback | Look]] = []
    for callback in callbacks:
        begin, end = max(callback.start_ns, start_ns), min(callback.end_ns, end_ns)
        if begin < end and callback.busy_ns * 2 >= callback.end_ns - callback.start_ns:
            pieces.append((begin, end, callback))
    for look in looks:
        begin, end = max(look.start_ns, start_ns), min(look.end_ns, end_ns)
        if begin < end:
            pieces.append((begin, end, look))
    pieces.sort(key=_STRETCH)
    return _cover(start_ns, end_ns, pieces)


def _cover(start_ns: int, end_ns: int, pieces: Sequence[tuple[int, int, Callback | Look]]) -> list[Tile]:
    tiles: list[Tile] = []
    busy: list[Callback] = []  # one after another, without a tile yet
    busy_ns = at = start_ns  # when they began, and where all that is known so far ends
    for begin, end, what in pieces:
        if end <= at:
            continue
        from_ns = max(begin, at)
        if busy and not (isinstance(what, Callback) and from_ns - at <= _JOIN_NS):
            tiles.append(Tile(WAIT_LOOP_BUSY, busy_ns, at, tuple(busy)))
            busy = []
        if not busy and from_ns > at:
            tiles.append(Tile(WAIT_RESUME, at, from_ns))
        if isinstance(what, Look):
            tiles.append(_looked(what, from_ns, end, end - begin))
        else:
            busy_ns = busy_ns if busy else from_ns
            busy.append(_clipped(what, begin, end))
        at = end
    if busy:
        tiles.append(Tile(WAIT_LOOP_BUSY, busy_ns, at, tuple(busy)))
    if at < end_ns:
        tiles.append(Tile(WAIT_RESUME, at, end_ns))
    return tiles


def _looked(look: Look, start_ns: int, end_ns: int, length_ns: int) -> Tile:
    # it became runnable at the cause, so all that it queued it queued after it
    known_ns = min(look.run_queue_ns, length_ns) if look.run_queue_ns is not None else None
    return Tile(WAIT_LOOP_WAKEUP if look.slept else WAIT_RESUME, start_ns, end_ns, (), known_ns)


def _clipped(callback: Callback, start_ns: int, end_ns: int) -> Callback:
    """A part of it: where in it the thread had no CPU is not known."""
    if start_ns == callback.start_ns and end_ns == callback.end_ns:
        return callback
    queued_ns = callback.run_queue_ns
    if queued_ns is not None:
        queued_ns = queued_ns * (end_ns - start_ns) // (callback.end_ns - callback.start_ns)
    return callback._replace(start_ns=start_ns, end_ns=end_ns, run_queue_ns=queued_ns)


def queued_in(tile: Tile) -> int | None:
    """How long the loop's thread had no CPU in a tile, as far as that was asked; None where it never was."""
    if tile.run_queue_ns is not None:
        return tile.run_queue_ns
    asked = [one.run_queue_ns for one in tile.callbacks if one.run_queue_ns is not None]
    return min(sum(asked), tile.end_ns - tile.start_ns) if asked else None


def collection_tiles(tile: Tile, handles_result: Callable[[Callback], bool]) -> list[Tile]:
    """Divides a `loop_busy` tile that delayed a job's result.

    Where the loop handled results of the same request, as `handles_result` tells of a callback, that is
    the order of its collection (`collect_order`); the rest stays `loop_busy`.
    """
    tiles: list[Tile] = []
    at = tile.start_ns
    for callback in tile.callbacks:
        last = tiles[-1] if tiles else None
        kind = WAIT_COLLECT_ORDER if handles_result(callback) else WAIT_LOOP_BUSY
        # between two results the loop runs its own short callbacks
        if last is not None and (last.kind == kind or callback.end_ns - callback.start_ns < _PASSING_NS):
            tiles[-1] = Tile(last.kind, last.start_ns, callback.end_ns, (*last.callbacks, callback))
        else:
            tiles.append(Tile(kind, at, callback.end_ns, (callback,)))
        at = callback.end_ns
    if not tiles:
        return [tile]
    tiles[-1] = tiles[-1]._replace(end_ns=tile.end_ns)
    return tiles


def queue_tiles(job: Job, end_ns: int, full_until: Callable[[Pool, int, int], int]) -> list[Tile]:
    """What a job waited for before its function began, at `end_ns` (or gave up then).

    `full_until` tells the last moment of a stretch at which all workers of a pool had a job; its start if never.

    It queued as long as all workers were busy. The rest is the hand-over, in two parts: another worker was
    free, and did not come to take it before the one that did was done with its job before (at
    `idle_since_ns`); and that one was free. A worker's first job waited for the thread to start.
    """
    start_ns = job.born_ns
    if end_ns <= start_ns:
        return []
    if not job.start_ns:
        return [Tile(WAIT_POOL_QUEUE, start_ns, end_ns)]
    if not job.idle_since_ns:
        return [Tile(WAIT_POOL_STARTUP, start_ns, end_ns)]
    freed_ns = min(max(job.idle_since_ns, start_ns), end_ns)
    full_ns = full_until(job.pool, start_ns, freed_ns) if job.pool is not None else freed_ns
    tiles = [
        Tile(WAIT_POOL_QUEUE, start_ns, full_ns),
        Tile(WAIT_POOL_HANDOVER, full_ns, freed_ns),
        Tile(WAIT_POOL_HANDOVER, freed_ns, end_ns),
    ]
    return [tile for tile in tiles if tile.start_ns < tile.end_ns]


class Share(NamedTuple):
    """One occupant's part of a wait."""

    occupant: Occupancy
    ns: int


def occupant_shares(
    start_ns: int, end_ns: int, occupancies: Iterable[Occupancy], exclude_span_id: int
) -> tuple[list[Share], int]:
    """Who held the workers from `start_ns` to `end_ns`: each instant is divided among those who did.

    Returns the shares, longest first, and what no known occupant held; together they sum to the wait.
    """
    held = [
        (max(one.start_ns, start_ns), min(one.end_ns or end_ns, end_ns), one)
        for one in occupancies
        if one.start_ns and one.start_ns < end_ns and (not one.end_ns or one.end_ns > start_ns)
        if one.span_id != exclude_span_id or not exclude_span_id
    ]
    borders = sorted({start_ns, end_ns, *(begin for begin, _, _ in held), *(end for _, end, _ in held)})
    coming = sorted(range(len(held)), key=lambda index: held[index][0], reverse=True)
    active: list[int] = []  # few: as many as there are workers
    shares: dict[int, int] = {}
    other_ns = 0
    for begin, end in pairwise(borders):
        while coming and held[coming[-1]][0] <= begin:
            insort(active, coming.pop())
        active = [index for index in active if held[index][1] > begin]
        if not active:
            other_ns += end - begin
            continue
        part, rest = divmod(end - begin, len(active))
        for place, index in enumerate(active):
            shares[index] = shares.get(index, 0) + part + (1 if place < rest else 0)
    ranked = [Share(held[index][2], ns) for index, ns in shares.items()]
    return sorted(ranked, key=lambda share: -share.ns), other_ns


def by_trace(shares: Iterable[Share]) -> list[Share]:
    """The shares of one trace's jobs of one name taken together, under the longest of them."""
    chief: dict[tuple[int, str], Share] = {}
    for share in shares:  # longest first
        key = (share.occupant.trace_id, share.occupant.name)
        known = chief.get(key)
        chief[key] = share if known is None else Share(known.occupant, known.ns + share.ns)
    return sorted(chief.values(), key=lambda share: -share.ns)
