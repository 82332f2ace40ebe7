"""Divides a wait into segments without gaps, by what ran or slept meanwhile. Pure."""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from whywait.tracer import schema as s
from whywait.tracer.records.loop import Callback, Look
from whywait.tracer.records.request import Job, Pool, made

_PASSING_NS = 200_000
_JOIN_NS = 50_000  # a gap this short between two callbacks is the loop's own work
_STRETCH: Final = itemgetter(0, 1)


class Segment(NamedTuple):
    """One stretch with one cause; `callbacks` are those that ran in it, clipped to it. `run_queue_ns` is the run-queue
    time of the loop's thread in it, if known."""

    kind: str
    start_ns: int
    end_ns: int
    callbacks: tuple[Callback, ...] = ()
    run_queue_ns: int | None = None


def loop_segments(start_ns: int, end_ns: int, callbacks: Iterable[Callback], looks: Iterable[Look]) -> list[Segment]:
    """Return what the loop did between a wake-up's cause and the woken task's next step, without gaps: `loop_busy`
    where `callbacks` ran, `loop_wakeup` where it still slept (in `looks`), `resume` elsewhere; both in order."""
    parts: list[tuple[int, int, Callback | Look]] = []
    for callback in callbacks:
        begin, end = max(callback.start_ns, start_ns), min(callback.end_ns, end_ns)
        if begin < end and callback.busy_ns * 2 >= callback.end_ns - callback.start_ns:
            parts.append((begin, end, callback))
    for look in looks:
        begin, end = max(look.start_ns, start_ns), min(look.end_ns, end_ns)
        if begin < end:
            parts.append((begin, end, look))
    parts.sort(key=_STRETCH)
    return _cover(start_ns, end_ns, parts)


def _cover(start_ns: int, end_ns: int, parts: Sequence[tuple[int, int, Callback | Look]]) -> list[Segment]:
    segments: list[Segment] = []
    busy: list[Callback] = []  # consecutive ones, without a segment yet
    busy_ns = at = start_ns  # when they began, and the end of the known part
    for begin, end, what in parts:
        if end <= at:
            continue
        from_ns = max(begin, at)
        if busy and not (isinstance(what, Callback) and from_ns - at <= _JOIN_NS):
            segments.append(Segment(s.WAIT_LOOP_BUSY, busy_ns, at, tuple(busy)))
            busy = []
        if not busy:
            segments.append(Segment(s.WAIT_RESUME, at, from_ns))
            busy_ns = from_ns
        if isinstance(what, Look):
            segments.append(_of_sample(what, from_ns, end, end - begin))
        else:
            busy.append(_clipped(what, begin, end))
        at = end
    if busy:
        segments.append(Segment(s.WAIT_LOOP_BUSY, busy_ns, at, tuple(busy)))
    segments.append(Segment(s.WAIT_RESUME, at, end_ns))
    return [one for one in segments if one.start_ns < one.end_ns]


def _of_sample(look: Look, start_ns: int, end_ns: int, length_ns: int) -> Segment:
    # it became runnable at the cause, so all of its run-queue time came later
    known_ns = min(look.run_queue_ns, length_ns) if look.run_queue_ns is not None else None
    return Segment(s.WAIT_LOOP_WAKEUP if look.slept else s.WAIT_RESUME, start_ns, end_ns, (), known_ns)


def _clipped(callback: Callback, start_ns: int, end_ns: int) -> Callback:
    """A part of the callback: the position of its run-queue time inside is unknown."""
    if start_ns == callback.start_ns and end_ns == callback.end_ns:
        return callback
    queued_ns = callback.run_queue_ns
    if queued_ns is not None:
        queued_ns = queued_ns * (end_ns - start_ns) // (callback.end_ns - callback.start_ns)
    _, _, *same, _ = callback
    return made(Callback, (start_ns, end_ns, *same, queued_ns))


def queued_in(segment: Segment) -> int | None:
    """The run-queue time of the loop's thread in a segment, as far as it was read; None without a reading."""
    if segment.run_queue_ns is not None:
        return segment.run_queue_ns
    read = [one.run_queue_ns for one in segment.callbacks if one.run_queue_ns is not None]
    return min(sum(read), segment.end_ns - segment.start_ns) if read else None


def collection_segments(segment: Segment, handles_result: Callable[[Callback], bool]) -> list[Segment]:
    """Divide a `loop_busy` segment that delayed a job's result: `collect_order` where the loop handled results of the
    same request (`handles_result`), else `loop_busy`."""
    segments: list[Segment] = []
    at = segment.start_ns
    for callback in segment.callbacks:
        last = segments[-1] if segments else None
        kind = s.WAIT_COLLECT_ORDER if handles_result(callback) else s.WAIT_LOOP_BUSY
        # between two results the loop runs its own short callbacks
        if last is not None and (last.kind == kind or callback.end_ns - callback.start_ns < _PASSING_NS):
            segments[-1] = Segment(last.kind, last.start_ns, callback.end_ns, (*last.callbacks, callback))
        else:
            segments.append(Segment(kind, at, callback.end_ns, (callback,)))
        at = callback.end_ns
    if not segments:
        return [segment]
    segments[-1] = segments[-1]._replace(end_ns=segment.end_ns)
    return segments


def queue_segments(job: Job, end_ns: int, full_until: Callable[[Pool, int, int], int]) -> list[Segment]:
    """Divide a job's wait before its function began at `end_ns` (or it was cancelled): queue while all workers were
    busy (until `full_until`), hand-over while another was free (until `idle_since_ns`) and then its own was. A
    worker's first job waited for the thread to start."""
    start_ns = job.born_ns
    if end_ns <= start_ns:
        return []
    if not job.start_ns:
        return [Segment(s.WAIT_POOL_QUEUE, start_ns, end_ns)]
    if not job.idle_since_ns:
        return [Segment(s.WAIT_POOL_STARTUP, start_ns, end_ns)]
    freed_ns = min(max(job.idle_since_ns, start_ns), end_ns)
    full_ns = full_until(job.pool, start_ns, freed_ns) if job.pool is not None else freed_ns
    segments = [
        Segment(s.WAIT_POOL_QUEUE, start_ns, full_ns),
        Segment(s.WAIT_POOL_HANDOVER, full_ns, freed_ns),
        Segment(s.WAIT_POOL_HANDOVER, freed_ns, end_ns),
    ]
    return [segment for segment in segments if segment.start_ns < segment.end_ns]
