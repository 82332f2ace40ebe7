"""The rules that give each segment its cause, its evidence and the words of its detail: one ordered table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from whywait.analysis.attribution.segment_facts import Facts
from whywait.analysis.causes import CAUSE_OF_WAIT, INFO, Cause, Evidence
from whywait.analysis.path.segments import CALL, CPU, GIL, LOCK, OUTSIDE, REST, RUN_QUEUE
from whywait.analysis.spans.span_table import Bools, Ints
from whywait.tracer import schema

When = Callable[[Facts], Bools]
RowsOf = Literal["span", "sampled", "queued", "block"]  # the facts that are rows of spans


@dataclass(frozen=True, slots=True)
class Rule:
    """The cause of a segment that `when` accepts and no earlier rule accepted."""

    name: str
    when: When
    cause: Cause
    detail: str  # a template; its words come from the span in `of`
    evidence: Evidence = Evidence.OBSERVED  # inferred, if the bounds of an observed amount were not both seen
    of: RowsOf = "span"


# a thread that had work and had not begun: for longer than the resolution it is not known why
_WAKINGS: Final = (schema.WAIT_RESUME, schema.WAIT_POOL_HANDOVER)
_SHORT: Final = "in waits too short to be told one by one"
_SHORT_KINDS: Final = dict.fromkeys(_WAKINGS, ("changes of threads", Cause.LOOP_WAKEUP)) | {
    schema.SHORT_IO: ("answers", Cause.AWAIT_IO)
}


def _small(number: int) -> When:
    return lambda one: one.small_type == number


def _kind(wait: str) -> When:
    return lambda one: one.ruled & one.says(schema.WAIT, wait)


def _within(pattern: str) -> When:
    return lambda one: one.awaits(pattern)


def _calls(names: tuple[str, ...]) -> When:
    return lambda one: one.ruled & one.says(schema.WAIT, schema.WAIT_AWAIT) & one.says(schema.FOR_CALL, *names)


def _ended_by(waker: str) -> When:
    return lambda one: one.ruled & one.says(schema.WAIT, schema.WAIT_AWAIT) & one.says(schema.WAKER_KIND, waker)


def _part(part: int) -> When:
    return lambda one: one.part == part


def _taken_up_later(one: Facts) -> Bools:
    # the critical path follows the work that ended the wait, in another trace, back to its start: before that,
    # the waiter was in a queue
    return one.ruled & one.says(schema.WAIT, schema.WAIT_AWAIT) & one.followed_elsewhere


def _given_by_own(one: Facts) -> Bools:
    own = one.has(schema.WAKER_SPAN_ID) & ~one.has(schema.WAKER_TRACE_ID)
    return _ended_by(schema.WAKER_ACTIVITY)(one) & own & one.awaits(schema.FOR_SIGNAL)


def _in_handler(one: Facts) -> Bools:
    return np.isin(one.part, [REST, LOCK, CALL]) & ~one.waiting & one.in_run & one.has(schema.HANDLER)


def _many_wakings(one: Facts) -> Bools:
    # of summed jobs, each wait as short as the waking of a thread
    summed = one.says(schema.EVIDENCE, schema.EVIDENCE_INFERRED) & one.has(schema.POOL_NAME)
    summed &= ~one.says(
        schema.POOL_NAME, schema.POOL_NAME_PROCESSES
    )  # whose jobs are never summed: samples bound their waits
    return one.ruled & one.says(schema.WAIT, *_WAKINGS) & summed


def _wait_kinds() -> Iterator[Rule]:
    for number, kind in enumerate(schema.SHORT_TYPES):
        what, cause = _SHORT_KINDS.get(kind) or (kind.replace("_", " "), CAUSE_OF_WAIT.get(kind, Cause.UNEXPLAINED))
        detail = f"{what}, {_SHORT}"
        yield Rule(f"short waits: {kind}", _small(number), cause, detail, Evidence.INFERRED)
    for cause, info in INFO.items():
        for kind, detail in info.waits.items():
            yield Rule(f"wait: {kind}", _kind(kind), cause, detail)


# First match wins; the last rule accepts everything, so every segment has a cause.
RULES: Final = (
    # 1. calls that wait for a device: the thread may well spin meanwhile
    Rule("copy to or from a device",
         lambda one: one.on_device & one.says(schema.PHASE, schema.PHASE_TO_DEVICE, schema.PHASE_FROM_DEVICE),
         Cause.GPU_COPY, "{span} on {device}"),
    Rule("device", lambda one: one.on_device, Cause.GPU_COMPUTE, "{span} on {device}"),
    # 2. waits: by their kind, then by what was awaited, then by who ended them
    Rule("wakings of threads", _many_wakings, Cause.LOOP_WAKEUP, f"changes of threads, {_SHORT}",
         Evidence.INFERRED),
    Rule("turns of its own", lambda one: one.ruled & one.own_turns, Cause.COMPUTE, "running {blocker}", Evidence.INFERRED),
    *_wait_kinds(),
    Rule("answer", _within(schema.FOR_REQUEST_SENT), Cause.REQUEST_IO, "its client had not read what was sent before{by_user}"),
    Rule("request io", _within(schema.FOR_REQUEST_IO), Cause.REQUEST_IO, "awaiting {awaited}{where}"),
    Rule("request io by call", _calls(schema.FOR_REQUEST_CALLS), Cause.REQUEST_IO, "awaiting {awaited}{where}"),
    Rule("egress", lambda one: one.ruled & one.says(schema.FOR, schema.FOR_EGRESS), Cause.REQUEST_IO, "the last bytes had not left this host"),
    Rule("thread's signal", _within(schema.FOR_THREAD_SIGNAL), Cause.LOCK_WAIT, "{lock}"),
    Rule("thread's queue", _within(schema.FOR_THREAD_QUEUE), Cause.BLOCKING_IO, "in {awaited}{where}"),
    Rule("limit by name", _within(schema.FOR_HELD), Cause.LIMITER_WAIT, "awaiting {awaited}{inside}{where}"),
    Rule("signal of a later request", lambda one: _taken_up_later(one) & one.awaits(schema.FOR_SIGNAL), Cause.LIMITER_WAIT,
         "{awaiting}{where}", Evidence.INFERRED),
    Rule("queued for another trace", _taken_up_later, Cause.LIMITER_WAIT, "queued for {waker}", Evidence.INFERRED),
    Rule("slice", _within(schema.FOR_SLICED), Cause.AWAIT_IO, "{awaiting}{where}"),
    Rule("timer", _ended_by(schema.WAKER_TIMER), Cause.AWAIT_IO, "a timer: {timed}{where}"),
    Rule("io", _ended_by(schema.WAKER_IO), Cause.AWAIT_IO, "{awaiting}{where}"),
    Rule("gathering", _ended_by(schema.WAKER_ARRIVAL), Cause.AWAIT_IO, "gathering: {awaiting}{where}"),
    Rule("blocked job", _ended_by(schema.WAKER_JOB), Cause.BLOCKING_IO, "in a job of no request{where}",
         Evidence.INFERRED),
    Rule("never ended", _ended_by(schema.WAKER_NOBODY), Cause.AWAIT_IO, "{awaiting}{where}, which nobody ended"),
    Rule("process", _within(schema.FOR_PROCESS), Cause.AWAIT_IO, "{awaiting}{where}"),
    Rule("thread of no request", lambda one: _ended_by(schema.WAKER_THREAD)(one) & one.has(schema.BLOCKER_FUNCTION),
         Cause.LIMITER_WAIT, "{awaiting}{where}, ended by thread {waker}", Evidence.INFERRED),
    Rule("thread of a library", _ended_by(schema.WAKER_THREAD), Cause.UNEXPLAINED,
         "{awaiting}{where}, ended by thread {waker}"),
    Rule("barrier", _within(schema.FOR_BARRIER), Cause.LIMITER_WAIT, "{awaiting}{where}", Evidence.INFERRED),
    Rule("signal of its own", _given_by_own, Cause.AWAIT_IO, "{awaiting}{where}, ended by {waker}", Evidence.INFERRED),
    Rule("signal of others", lambda one: _ended_by(schema.WAKER_ACTIVITY)(one) & one.awaits(schema.FOR_SIGNAL),
         Cause.LIMITER_WAIT, "{awaiting}{where}, ended by {waker}", Evidence.INFERRED),
    Rule("signal of no request", lambda one: _ended_by(schema.WAKER_UNKNOWN)(one) & one.has(schema.WAKER_NAME) & one.awaits(schema.FOR_SIGNAL),
         Cause.AWAIT_IO, "{awaiting}{where}, until {waker} came", Evidence.INFERRED),
    Rule("work of no request", lambda one: _ended_by(schema.WAKER_UNKNOWN)(one) & one.has(schema.WAKER_NAME),
         Cause.UNEXPLAINED, "{awaiting}{where}, ended by {waker}"),
    Rule("any other wait", lambda one: one.ruled, Cause.UNEXPLAINED, "{awaiting}{where}"),
    # 3. spans that whywait did not write, and time that no span covers
    Rule("client span", lambda one: one.foreign & one.client, Cause.AWAIT_IO, "{span}", Evidence.INFERRED),
    Rule("span of others", lambda one: one.foreign, Cause.UNEXPLAINED, "{span}", Evidence.INFERRED),
    Rule("outside", _part(OUTSIDE), Cause.UNEXPLAINED, "outside the part of the request that was traced",
         Evidence.INFERRED),
    Rule("loop without a CPU clock", lambda one: one.rest & one.on_loop & ~one.measured, Cause.COMPUTE,
         "running on the loop, CPU not measured", Evidence.INFERRED),
    # 4. blocked inside a function that is known by name
    Rule("logging handler, sampled", lambda one: _in_handler(one) & (one.part != REST), Cause.LOGGING_WAIT,
         "logging handler {handler}", Evidence.SAMPLED),
    Rule("logging handler", _in_handler, Cause.LOGGING_WAIT, "logging handler {handler}", Evidence.INFERRED),
    Rule("asleep on the loop", lambda one: one.rest & one.on_loop & one.slept, Cause.BLOCKING_IO,
         "in {syscall}{where}", Evidence.SAMPLED, of="block"),
    # 5. by the clocks and samples of the thread
    Rule("thread that computes", lambda one: (one.part == CPU) & one.waiting & one.says(schema.WAKER_KIND, schema.WAKER_THREAD),
         Cause.COMPUTE, "running {blocker} in thread {waker}", Evidence.SAMPLED),
    Rule("job that computes", lambda one: (one.part == CPU) & one.waiting & one.says(schema.WAKER_KIND, schema.WAKER_JOB),
         Cause.COMPUTE, "running {function}{at}", Evidence.INFERRED),
    Rule("computing in a wait", lambda one: (one.part == CPU) & one.waiting, Cause.COMPUTE, "", Evidence.SAMPLED),
    Rule("computing", _part(CPU), Cause.COMPUTE, "running {function}{at}"),
    Rule("run queue of a loop", lambda one: (one.part == RUN_QUEUE) & one.on_loop, Cause.CPU_WAIT, "{rivals}",
         Evidence.SAMPLED, of="queued"),
    Rule("run queue", _part(RUN_QUEUE), Cause.CPU_WAIT, "{rivals}", of="queued"),
    Rule("gil", _part(GIL), Cause.GIL_WAIT, "waiting for the GIL", Evidence.SAMPLED),
    Rule("futex", _part(LOCK), Cause.LOCK_WAIT, "in an untraced lock{inside}, or waiting for native threads{slept_in}",
         Evidence.SAMPLED, of="sampled"),
    Rule("lock of a file", lambda one: (one.part == CALL) & one.file_lock, Cause.LOCK_WAIT,
         "lock of a file, in {call}{slept_in}", Evidence.SAMPLED, of="sampled"),
    Rule("system call", _part(CALL), Cause.BLOCKING_IO, "in {call}{slept_in}", Evidence.SAMPLED, of="sampled"),
    # 6. what none of these explains
    Rule("between steps", lambda one: ~one.in_run, Cause.UNEXPLAINED, "between two recorded steps of the job"),
    Rule("blocked, sampled", lambda one: one.sampled >= 0, Cause.UNEXPLAINED, "blocked: no sample shows in what"),
    Rule("blocked in a process", lambda one: one.known_process, Cause.UNEXPLAINED,
         "blocked in a worker process: no sample shows in what{few}"),
    Rule("in a process", lambda one: one.in_process, Cause.UNEXPLAINED,
         "in a worker process, not computing: start-up, transfer or blocked: unknown{few}"),
    Rule("thread without a CPU clock", lambda one: ~one.on_loop & ~one.measured, Cause.UNEXPLAINED,
         "on a worker thread, CPU not measured{few}"),
    Rule("blocked", lambda one: ~one.on_loop, Cause.UNEXPLAINED, "blocked: GIL or native wait: unknown{few}"),
    Rule("anything else", lambda one: np.ones(len(one.part), dtype=bool), Cause.UNEXPLAINED,
         "on the loop, off CPU: GIL, lock or blocking call: unknown{few}"),
)  # fmt: skip


LATER, QUEUED = map([one.name for one in RULES].index, ("signal of a later request", "queued for another trace"))


def rule_numbers(facts: Facts) -> Ints:
    """Return for each segment the number of the first rule that accepts it."""
    numbers = np.full(len(facts.part), len(RULES) - 1, dtype=np.int64)
    for number in reversed(range(len(RULES) - 1)):
        numbers[RULES[number].when(facts)] = number
    return numbers
