"""Words for the segments: cause, evidence, detail, and the spans that they name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whywait.analysis.attribution.cpu_rivals import NOT_TOLD, why_queued
from whywait.analysis.causes import CAUSES, WAIT_RULES, Cause, Evidence, rule_numbers
from whywait.analysis.path.pieces import Pieces
from whywait.analysis.path.running_frames import Frames
from whywait.analysis.path.segments import CALL, CPU, GIL, LOCK, OUTSIDE, REST, RUN_QUEUE, SMALL, Segments
from whywait.analysis.spans.activities import Activities
from whywait.analysis.spans.span_table import NONE, Bools, Ints, SpanTable, Texts, objects, taken
from whywait.analysis.text import place
from whywait.tracer import schema

_NUMBER = {cause: number for number, cause in enumerate(CAUSES)}
# what a thread does in a call that waits for a device is the driver's waiting, on a CPU or off it; the GIL is not
_DEVICE_PARTS = (CPU, RUN_QUEUE, LOCK, CALL, REST)
_THREAD_WAITS = (schema.WAIT_LOCK, schema.WAIT_LOGGING, schema.WAIT_BLOCKING)


@dataclass(frozen=True, slots=True)
class Described:
    """One entry per segment."""

    cause: Ints  # number in CAUSES
    evidence: Texts
    detail: Texts
    span: Ints  # row of the innermost span that says what was going on
    is_wait: Bools
    sampled: Ints  # row of the span whose samples divided this stretch, NONE
    queued: Ints  # row of the span that says who had the CPUs in this stretch of run-queue time, NONE
    error: Ints  # one standard error of the amount, ns; 0 where it was not sampled


def describe(
    spans: SpanTable,
    activities: Activities,
    frames: Frames,
    pieces: Pieces,
    segments: Segments,
    request_rows: Ints,
) -> Described:
    """Return cause, evidence, detail and span of each segment."""
    count = len(segments.part)
    part, piece = segments.part, segments.piece
    inside = part != OUTSIDE
    wait, frame = taken(pieces.wait, piece), taken(pieces.frame, piece)
    measured = taken(pieces.measured, piece)
    foreign = taken(activities.foreign, segments.activity, False)
    waiting = (wait >= 0) & ~foreign
    span = np.where(inside, taken(activities.row, segments.activity), request_rows[segments.request])
    span = np.where(frame >= 0, taken(frames.row, frame), span)
    span = np.where(waiting, taken(activities.waits.row, wait), span)

    on_loop = inside & ~taken(activities.is_job, segments.activity, False)
    unmeasured = inside & ~foreign & ~waiting & (part == REST) & (measured < 0) & on_loop
    rest = inside & ~foreign & ~waiting & (part == REST) & ~unmeasured
    client = foreign & (spans.span_kinds[span] == "client")
    cause = np.full(count, _NUMBER[Cause.UNEXPLAINED], dtype=np.int64)
    cause[(part == CPU) | unmeasured] = _NUMBER[Cause.COMPUTE]
    cause[part == RUN_QUEUE] = _NUMBER[Cause.CPU_WAIT]
    cause[part == GIL] = _NUMBER[Cause.GIL_WAIT]
    cause[part == LOCK] = _NUMBER[Cause.LOCK_WAIT]
    cause[part == CALL] = _NUMBER[Cause.BLOCKING_IO]
    cause[client] = _NUMBER[Cause.AWAIT_IO]

    inferred = ~inside | foreign | unmeasured | (part == SMALL) | ~segments.whole
    ruled = waiting & (part == REST)
    rules, details = _wait_rules(spans, span[ruled], _followed_elsewhere(spans, activities))
    cause[ruled] = [_NUMBER[WAIT_RULES[rule].cause] for rule in rules]
    said_so = spans.texts(span[ruled], schema.EVIDENCE) == schema.EVIDENCE_INFERRED
    inferred[ruled] = np.array([WAIT_RULES[rule].inferred for rule in rules], dtype=bool) | said_so

    detail = np.full(count, "", dtype=object)
    detail[ruled] = details
    detail[unmeasured] = "running on the loop, CPU not measured"
    detail[part == RUN_QUEUE] = NOT_TOLD
    detail[foreign] = spans.names[span[foreign]]
    detail[part == OUTSIDE] = "outside the part of the request that was traced"
    in_run = frame >= 0
    detail[part == GIL] = "waiting for the GIL"
    detail[part == LOCK] = "in a lock that nobody traced, or waiting for native threads"
    detail[rest & in_run & on_loop] = "on the loop and not on a CPU: GIL, lock or blocking call, cannot tell"
    detail[rest & in_run & ~on_loop & (measured >= 0)] = "blocked: GIL or native wait, cannot tell"
    detail[rest & in_run & ~on_loop & (measured < 0)] = "on a worker thread, CPU not measured"
    in_process, asked = _in_process(spans, span, in_run & ~on_loop & ~waiting)
    inferred |= in_process & ~asked
    detail[rest & in_process] = "in a worker process, not computing: started, sent to or blocked, cannot tell"
    detail[rest & asked] = "blocked in a worker process, and not seen in what"
    detail[rest & ~in_run] = "between two recorded steps of the job"
    computing = (part == CPU) & ~waiting
    detail[computing] = _running(spans, span[computing])
    _describe_small(segments, cause, detail)
    split = taken(frames.row, taken(pieces.sampled, piece))
    split = np.where(waiting, taken(activities.waits.row, wait), split)
    _describe_samples(spans, segments, split, taken(frames.row, frame), rest & in_run, detail)
    queued = taken(frames.row, taken(pieces.queued, piece))
    queued = np.where(part == RUN_QUEUE, np.where(waiting, taken(activities.waits.row, wait), queued), NONE)
    chosen = queued >= 0
    detail[chosen] = why_queued(spans, queued[chosen])
    blocked = rest | (inside & ~foreign & ~waiting & np.isin(part, [LOCK, CALL]))
    in_handler, handlers = _handlers(spans, span, blocked & (frame >= 0))
    cause[in_handler] = _NUMBER[Cause.LOGGING_WAIT]
    detail[in_handler] = handlers
    inferred[in_handler] = True
    evidence = np.where(inferred, Evidence.INFERRED.value, Evidence.OBSERVED.value).astype(object)
    evidence[
        np.isin(part, [GIL, LOCK, CALL]) | ((part == CPU) & waiting) | ((part == RUN_QUEUE) & on_loop)
    ] = Evidence.SAMPLED.value
    block = taken(pieces.block, piece)
    rest[in_handler] = False
    slept = np.flatnonzero(rest & on_loop & (block >= 0))
    slept = slept[~_timed_already(spans, activities, frames, pieces)[block[slept]]]
    calls, said = _slept_in(spans, frames.row[block[slept]])
    slept, said = slept[calls], said[calls]
    cause[slept] = _NUMBER[Cause.BLOCKING_IO]
    detail[slept] = said
    evidence[slept] = Evidence.SAMPLED.value
    in_phase = inside & ~waiting & (frame >= 0) & np.isin(part, _DEVICE_PARTS)
    _describe_devices(spans, span, in_phase, cause, detail, evidence)
    errors = _errors(spans, segments, split, span, ruled)
    return Described(cause, evidence, detail, span, waiting, split, queued, errors)


def _in_process(spans: SpanTable, rows: Ints, chosen: Bools) -> tuple[Bools, Bools]:
    """Return which of the chosen segments ran in a worker process, and in which of them it is known in which one:
    of the others, only the parent was asked."""
    at = np.flatnonzero(chosen)
    once, back = np.unique(rows[at], return_inverse=True)
    is_process = np.array([value is True for value in spans.values(once, schema.PROCESS)], dtype=bool)
    is_asked = is_process & (spans.ints(once, schema.WORKER) >= 0)
    found, asked = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    found[at], asked[at] = is_process[back], is_asked[back]
    return found, asked


def _describe_devices(
    spans: SpanTable, span: Ints, eligible: Bools, cause: Ints, detail: Texts, evidence: Texts
) -> None:
    """Give a thread's time in a call that waits for a device to the device: the thread may well spin meanwhile."""
    at = np.flatnonzero(eligible)
    once, back = np.unique(span[at], return_inverse=True)
    devices, phases = spans.texts(once, schema.DEVICE), spans.texts(once, schema.PHASE)
    copies = np.isin(phases, [schema.PHASE_TO_DEVICE, schema.PHASE_FROM_DEVICE])
    number = np.where(copies, _NUMBER[Cause.GPU_COPY], _NUMBER[Cause.GPU_COMPUTE])
    words = objects([f"{name} on {device}" for name, device in zip(spans.names[once], devices, strict=True)])
    here = (devices != "")[back].astype(bool)
    cause[at[here]] = number[back][here]
    detail[at[here]] = words[back][here]
    said_so = spans.texts(once, schema.EVIDENCE) == schema.EVIDENCE_INFERRED
    told = np.where(said_so, Evidence.INFERRED.value, Evidence.OBSERVED.value).astype(object)
    evidence[at[here]] = told[back][here]


def _describe_samples(
    spans: SpanTable, segments: Segments, split: Ints, frame_rows: Ints, rest: Bools, detail: Texts
) -> None:
    """Say in which call a thread was, and where its samples were too few or saw no reason."""
    calls = np.flatnonzero((segments.part == CALL) & (split >= 0))
    once, back = np.unique(split[calls], return_inverse=True)
    words = objects([
        f"in {attributes.get(schema.CALL) or 'a system call'}{_where(attributes)}"
        for attributes in spans.attributes[once]
    ])  # fmt: skip
    detail[calls] = words[back]
    left = np.flatnonzero(rest & (split >= 0))
    detail[left] = "blocked, and not seen in what"
    # samples that were too few to divide a stretch left no division, only their number
    few = np.flatnonzero(rest & (split < 0) & (frame_rows >= 0))
    counts = spans.ints(frame_rows[few], schema.SAMPLES)
    for at, count in zip(few[counts >= 0], counts[counts >= 0], strict=True):
        detail[at] = f"{detail[at]} ({count} sample{'' if count == 1 else 's'}: too few)"


def _errors(spans: SpanTable, segments: Segments, split: Ints, span: Ints, ruled: Bools) -> Ints:
    """Return the standard error of each amount of GIL wait that samples gave, and of each part of a wait whose end
    lies between two samples."""
    error = np.zeros(len(segments.part), dtype=np.int64)
    amount = segments.end - segments.start
    gil = np.flatnonzero((segments.part == GIL) & (split >= 0))
    wait = np.flatnonzero(ruled)
    wait = wait[spans.ints(span[wait], schema.GIL_NS) < 0]  # else the error is the GIL's
    for at, rows, whole in (
        (gil, split[gil], spans.ints(split[gil], schema.GIL_NS)),
        (wait, span[wait], (spans.end - spans.start)[span[wait]]),
    ):
        of_whole = np.maximum(spans.ints(rows, schema.ERROR_NS), 0)
        error[at] = np.rint(of_whole * (amount[at] / np.maximum(whole, 1))).astype(np.int64)
    return error


def _handlers(spans: SpanTable, rows: Ints, chosen: Bools) -> tuple[Ints, Texts]:
    """Return which chosen segments ran in a logging handler, blocked: a write, a flush or a lock; and where."""
    at = np.flatnonzero(chosen)
    names = spans.texts(rows[at], schema.HANDLER)
    inside = names != ""
    return at[inside], objects([f"logging handler {name}" for name in names[inside]])


def _timed_already(spans: SpanTable, activities: Activities, frames: Frames, pieces: Pieces) -> Bools:
    """Return for each frame whether the waits timed inside it are longer than what of it nobody saw: then
    what the thread was seen to sleep in was one of them."""
    waits = activities.waits
    if len(waits.row) == 0:
        return np.zeros(len(frames.vstart), dtype=bool)
    of_thread = np.isin(spans.texts(waits.row, schema.WAIT), _THREAD_WAITS)
    length = np.where(of_thread, waits.vend - waits.vstart, 0)
    until = np.concatenate([[0], np.cumsum(length)])
    low = np.searchsorted(waits.vstart, frames.vstart, side="left")
    high = np.searchsorted(waits.vstart, frames.vend, side="left")
    running = pieces.block >= 0
    unseen = np.bincount(pieces.block[running], weights=pieces.rest_ns[running], minlength=len(frames.vstart))
    return np.asarray(until[high] - until[low] > unseen, dtype=bool)


def _slept_in(spans: SpanTable, rows: Ints) -> tuple[Bools, Texts]:
    """Return which blocks were seen asleep in a system call that is no futex, and the words for it."""
    once, back = np.unique(rows, return_inverse=True)
    calls = spans.texts(once, schema.BLOCK_SYSCALL)
    words = objects([
        f"in {call}{_where(attributes)}" for call, attributes in zip(calls, spans.attributes[once], strict=True)
    ])  # fmt: skip
    known = (calls != "") & (calls != schema.SYSCALL_FUTEX)
    return np.asarray(known, dtype=bool)[back], words[back]


def _describe_small(segments: Segments, cause: Ints, detail: Texts) -> None:
    types = pd.DataFrame(
        {
            "wait": list(schema.WAIT_TYPES),
            "waker": "",
            "awaited": "",
            "module": "",
            "followed_elsewhere": False,
        },
        dtype=object,
    )
    rules = rule_numbers(types)
    for number, rule in enumerate(rules):
        here = segments.small_type == number
        cause[here] = _NUMBER[WAIT_RULES[rule].cause]
        detail[here] = f"{schema.WAIT_TYPES[number].replace('_', ' ')}: waits below the resolution"


def _followed_elsewhere(spans: SpanTable, activities: Activities) -> Bools:
    """By span row: whether the wait was ended by work of another trace that the path can follow."""
    waits = activities.waits
    found = np.zeros(len(spans.start), dtype=bool)
    known = waits.waker >= 0
    rows = waits.row[known]
    found[rows] = activities.trace[waits.waker[known]] != spans.traces[rows]
    return found


def _wait_rules(spans: SpanTable, rows: Ints, followed_elsewhere: Bools) -> tuple[NDArray[np.int64], Texts]:
    """Return the rule and the detail of each wait; each span is looked at once."""
    once, back = np.unique(rows, return_inverse=True)
    waits = pd.DataFrame(
        {
            "wait": spans.texts(once, schema.WAIT),
            "waker": spans.texts(once, schema.WAKER_KIND),
            "awaited": spans.texts(once, schema.FOR),
            "module": spans.texts(once, schema.FOR_MODULE),
            "followed_elsewhere": followed_elsewhere[once],
        },
        dtype=object,
    )
    rules = rule_numbers(waits)
    details = [
        WAIT_RULES[rule].detail.format_map(_Words(attributes))
        for rule, attributes in zip(rules, spans.attributes[once], strict=True)
    ]
    return rules[back], objects(details)[back]


class _Words(dict[str, str]):
    """The words that a rule's detail may ask for, made from a wait's attributes when asked."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        super().__init__()
        self.attributes = attributes

    def __missing__(self, word: str) -> str:
        return _WORDS[word](self.attributes)


def pool_name(attributes: dict[str, Any]) -> str:
    """Return what a pool is called: "pool 'predict' (6 workers)"."""
    size = attributes.get(schema.POOL_SIZE)
    workers = f" ({size} worker{'' if size == 1 else 's'})" if isinstance(size, int) else ""
    return f"pool {str(attributes.get(schema.POOL_NAME, '?'))!r}{workers}"


def lock_name(attributes: dict[str, Any]) -> str:
    """Return what a lock is called: "Lock made at bank.py:8 (Account.__init__)"; without that, who waited."""
    kind = str(attributes.get(schema.LOCK_KIND) or attributes.get(schema.FOR) or "a lock")
    made_at = place(attributes.get(schema.LOCK_FILE), attributes.get(schema.LOCK_LINE))
    if not made_at:
        return f"{kind}{_where(attributes)}"
    return f"{kind} made at {made_at} ({attributes.get(schema.LOCK_FUNCTION) or '?'})"


def _where(attributes: dict[str, Any]) -> str:
    function = str(attributes.get(schema.CODE_FUNCTION) or "")
    at = place(attributes.get(schema.CODE_FILE), attributes.get(schema.CODE_LINE))
    inside = " ".join(filter(None, (function, at)))
    return f" in {inside}" if inside else ""


def _blocker(attributes: dict[str, Any]) -> str:
    function = str(attributes.get(schema.BLOCKER_FUNCTION) or "something else")
    at = place(attributes.get(schema.BLOCKER_FILE), attributes.get(schema.BLOCKER_LINE))
    return f"{function} ({at})" if at else function


def _initializer(attributes: dict[str, Any]) -> str:
    name, ns = attributes.get(schema.POOL_INITIALIZER), attributes.get(schema.POOL_INITIALIZER_NS)
    return f", {ns / 1e6:.1f} ms of it in its initializer {name}" if name and isinstance(ns, int) else ""


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "initializer": _initializer,
    "worker": lambda attributes: "process" if attributes.get(schema.PROCESS) is True else "thread",
    "device": lambda attributes: str(attributes.get(schema.DEVICE) or "a device"),
    "pool": pool_name,
    "awaited": lambda attributes: str(attributes.get(schema.FOR) or "something"),
    "where": _where,
    "waker": lambda attributes: str(attributes.get(schema.WAKER_NAME) or ""),
    "blocker": _blocker,
    "lock": lock_name,
    "handler": lambda attributes: str(attributes.get(schema.HANDLER) or "of unknown name"),
}


def _running(spans: SpanTable, rows: Ints) -> Texts:
    once, back = np.unique(rows, return_inverse=True)
    texts: Sequence[str] = [
        f"running {attributes.get(schema.CODE_FUNCTION) or name}"
        + (
            f" ({at})"
            if (at := place(attributes.get(schema.CODE_FILE), attributes.get(schema.CODE_LINE)))
            else ""
        )
        for name, attributes in zip(spans.names[once], spans.attributes[once], strict=True)
    ]
    return objects(texts)[back]
