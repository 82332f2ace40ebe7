"""The facts about each segment before it has a cause: its part of a stretch, what ran, what was awaited."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from whywait.analysis.attribution.own_turns import own_turns
from whywait.analysis.path.pieces import Pieces
from whywait.analysis.path.running_frames import Frames
from whywait.analysis.path.segments import CALL, CPU, LOCK, OUTSIDE, REST, RUN_QUEUE, Segments
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.awaited import all_awaits
from whywait.analysis.spans.span_table import NONE, Bools, Ints, SpanTable, Texts, taken
from whywait.tracer import schema

# in a call that waits for a device the thread waits in the driver, on CPU or off CPU; the GIL wait is not
_DEVICE_PARTS: Final = (CPU, RUN_QUEUE, LOCK, CALL, REST)
_THREAD_WAITS: Final = (schema.WAIT_LOCK, schema.WAIT_LOGGING, schema.WAIT_BLOCKING)
_FILE_LOCKS: Final = ("flock", "fcntl")  # the latter waits for nothing else
_TEXTS: Final = (
    schema.WAIT, schema.WAKER_KIND, schema.FOR, schema.FOR_MODULE, schema.FOR_CALL, schema.DEVICE, schema.PHASE, schema.HANDLER,
    schema.EVIDENCE, schema.WAKER_NAME, schema.WAKER_SPAN_ID, schema.WAKER_TRACE_ID, schema.BLOCKER_FUNCTION, schema.POOL_NAME,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """One entry per segment; rows of spans are NONE where there is no such span."""

    part: Ints  # CPU ... OUTSIDE
    small_type: Ints  # number in SHORT_TYPES where part is SMALL, else NONE
    foreign: Bools  # in a trace that whywait did not write
    client: Bools  # the span is a request to another service
    waiting: Bools  # inside a recorded wait
    on_loop: Bools  # of a task
    in_run: Bools  # inside a recorded stretch of running
    measured: Bools  # the CPU time of that was measured
    in_process: Bools  # in a worker process
    known_process: Bools  # and in which one is known, so that its clocks were read
    followed_elsewhere: Bools  # the critical path follows the wait's end into another trace
    own_turns: Bools  # a wait for the loop, while it ran another task of the same request, which computed
    slept: Bools  # samples show the thread asleep in a system call that no recorded wait covers
    file_lock: Bools  # the samples of a stretch show the thread wait for the lock of a file
    whole: Bools  # the amount was measured for exactly the part on the critical path
    span: Ints  # row of the innermost span around the segment
    sampled: Ints  # row of the span whose samples divided the stretch
    queued: Ints  # row of the span that names what used the CPUs in the run-queue time
    block: Ints  # row of the block of the event loop
    once: Ints  # the distinct rows of `span`
    back: Ints  # segment -> number in `once`
    texts: dict[str, Texts]  # attribute -> its text for each of `once`, "" without

    @property
    def ruled(self) -> Bools:
        """The part of a wait of which only the kind is known."""
        return np.asarray(self.waiting & (self.part == REST), dtype=bool)

    @property
    def rest(self) -> Bools:
        """The part of running that no clock and no sample explains."""
        return np.asarray((self.part == REST) & ~self.waiting & ~self.foreign, dtype=bool)

    @property
    def on_device(self) -> Bools:
        """Inside a call that waits for a device."""
        return self.in_run & ~self.waiting & np.isin(self.part, _DEVICE_PARTS) & self.has(schema.DEVICE)

    @property
    def unsure(self) -> Bools:
        """True where the amount's bounds were not both seen."""
        said = self.says(schema.EVIDENCE, schema.EVIDENCE_INFERRED)
        return np.where(
            self.ruled | self.on_device, said, said | ~self.whole | (self.in_process & ~self.known_process)
        ).astype(bool)

    def says(self, key: str, *values: str) -> Bools:
        """True where the span's attribute is one of the values."""
        return np.isin(self.texts[key], values)[self.back]

    def has(self, key: str) -> Bools:
        """True where the span has the attribute."""
        return ~self.says(key, "")

    def awaits(self, pattern: str) -> Bools:
        """True in waits for a function whose dotted name, or module and name, matches from the start."""
        named = all_awaits(self.texts[schema.FOR], self.texts[schema.FOR_MODULE], pattern)[self.back]
        return np.asarray(self.ruled & self.says(schema.WAIT, schema.WAIT_AWAIT) & named, dtype=bool)


def gather_facts(
    spans: SpanTable, activities: Activities, frames: Frames, pieces: Pieces, segments: Segments, request_rows: Ints
) -> Facts:  # fmt: skip
    part, piece = segments.part, segments.piece
    inside = part != OUTSIDE
    wait, frame = taken(pieces.wait, piece), taken(pieces.frame, piece)
    foreign = taken(activities.foreign, segments.activity, False)
    waiting = (wait >= 0) & ~foreign
    wait_row = taken(activities.waits.row, wait)
    span = np.where(inside, taken(activities.row, segments.activity), request_rows[segments.request])
    span = np.where(frame >= 0, taken(frames.row, frame), span)
    span = np.where(waiting, wait_row, span)
    is_job = taken(activities.is_job, segments.activity, False)
    queued = np.where(waiting, wait_row, taken(frames.row, taken(pieces.queued, piece)))
    once, back = np.unique(span, return_inverse=True)
    of_process = np.array([value is True for value in spans.values(once, schema.PROCESS)], dtype=bool)
    known_process = of_process & (spans.ints(once, schema.WORKER) >= 0)
    in_job = (frame >= 0) & is_job & ~waiting
    block = taken(pieces.block, piece)
    sampled = np.where(waiting, wait_row, taken(frames.row, taken(pieces.sampled, piece)))
    return Facts(
        part=part,
        small_type=segments.small_type,
        foreign=foreign,
        client=spans.span_kinds[span] == schema.SPAN_CLIENT,
        waiting=waiting,
        on_loop=inside & ~is_job,
        in_run=frame >= 0,
        measured=taken(pieces.measured, piece) >= 0,
        in_process=in_job & of_process[back],
        known_process=in_job & known_process[back],
        followed_elsewhere=_followed_elsewhere(spans, activities)[span],
        own_turns=own_turns(spans, once)[back],
        slept=taken(_seen_asleep(spans, activities, frames, pieces), block, False),
        file_lock=(sampled >= 0) & np.isin(spans.texts(np.maximum(sampled, 0), schema.CALL), _FILE_LOCKS),
        whole=segments.whole,
        span=span,
        sampled=sampled,
        queued=np.where(part == RUN_QUEUE, queued, NONE),
        block=taken(frames.row, block),
        once=once,
        back=back,
        texts={key: spans.texts(once, key) for key in _TEXTS},
    )


def _followed_elsewhere(spans: SpanTable, activities: Activities) -> Bools:
    """By span row: whether work of another trace ended the wait, and the critical path can follow it."""
    waits = activities.waits
    found = np.zeros(len(spans.start), dtype=bool)
    known = waits.waker >= 0
    rows = waits.row[known]
    found[rows] = activities.trace[waits.waker[known]] != spans.traces[rows]
    return found


def _seen_asleep(spans: SpanTable, activities: Activities, frames: Frames, pieces: Pieces) -> Bools:
    """By frame: whether samples show its thread asleep in a system call other than a futex, and no wait timed inside
    it can have been that sleep: those are longer than the part of the frame without samples."""
    blocks = np.flatnonzero(frames.is_block)
    found = np.zeros(len(frames.vstart), dtype=bool)
    calls = spans.texts(frames.row[blocks], schema.BLOCK_SYSCALL)
    found[blocks] = ~np.isin(calls, ["", schema.SYSCALL_FUTEX])
    waits = activities.waits
    if len(waits.row) == 0:
        return found
    of_thread = np.isin(spans.texts(waits.row, schema.WAIT), _THREAD_WAITS)
    until = np.concatenate([[0], np.cumsum(np.where(of_thread, waits.vend - waits.vstart, 0))])
    low = np.searchsorted(waits.vstart, frames.vstart, side="left")
    high = np.searchsorted(waits.vstart, frames.vend, side="left")
    running = pieces.block >= 0
    unseen = np.bincount(pieces.block[running], weights=pieces.rest_ns[running], minlength=len(frames.vstart))
    return np.asarray(found & (until[high] - until[low] <= unseen), dtype=bool)
