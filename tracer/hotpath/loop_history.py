"""Records a loop's recent past, on its own thread: long callbacks, and runs of short ones."""

from types import CodeType
from typing import Any, TypeAlias

from whywait.tracer.host.introspection import bound_to, code_of, is_task
from whywait.tracer.host.native.native_core import untracked
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.tasks import task_code
from whywait.tracer.records.loop import Block, Callback, Look, Loop, Sample
from whywait.tracer.records.request import Activity, Request, made

CALLBACK_MIN_NS = 100_000  # shorter callbacks are kept as runs, not one by one
SLEEP_MIN_NS = 20_000  # a select that took less has found something at once
STALL_MIN_NS = 200_000  # a poll that took more waited for a CPU or the GIL
AWAY_MIN_NS = 100_000  # of a loop that is seen in its callbacks only: less lies between two callbacks

# the middle of a `Callback`
_Whose: TypeAlias = tuple[int, int, CodeType | None, Sample | None, Request | None]


def queued_since(loop: Loop) -> int | None:
    """Return how long the loop's thread was in the run queue since the last call.

    Called after each sleep, each long callback, and each stretch that was not entirely on CPU: the rest is short.
    """
    before, loop.run_queue_ns = loop.run_queue_ns, run_queue_ns()
    if before is None or loop.run_queue_ns is None:
        return None
    return loop.run_queue_ns - before


def note_select(loop: Loop, slept: bool, start_ns: int, end_ns: int) -> None:
    """Record that the loop slept in its selector, or polled there for long."""
    if slept and loop.short_count:
        flush_short(loop)
    loop.looks.append(untracked(made(Look, (start_ns, end_ns, queued_since(loop), slept))))


def note_away(loop: Loop, start_ns: int) -> None:
    """Record that libuv slept, or ran something unobserved: the run-queue time since then followed its wake-up."""
    queued_ns = queued_since(loop)
    if queued_ns is not None and queued_ns >= AWAY_MIN_NS and loop.ended_ns:
        loop.looks.append(untracked(made(Look, (loop.ended_ns, start_ns, queued_ns, False))))


def sample_of(loop: Loop | None, run_start_ns: int) -> Sample | None:
    """Return what the watchdog sampled of the callback that began then, if it did."""
    if loop is None or loop.sample is None or loop.sample[0] != run_start_ns:
        return None
    return loop.sample[1]


def keep_callback(
    loop: Loop, start_ns: int, end_ns: int, owner: Activity | None, callback: Any, queued_ns: int | None
) -> None:
    """Record a long callback of the loop: it may have blocked a request."""
    duration_ns = end_ns - start_ns
    if loop.short_count:
        flush_short(loop)
    sample = sample_of(loop, start_ns)
    if owner is None:
        free_ns, code = start_ns, code_behind(callback)
        whose: _Whose = (0, 0, code, sample, None)
    else:
        request, code = owner.request, owner.code
        # what a task does after its response is nobody's
        free_ns = end_ns if request.open else max(start_ns, request.end_ns)
        whose = (request.trace_id, owner.span_id, code, sample, request)
    recorder = recorders.active
    if recorder is not None and end_ns - free_ns >= recorder.config.block_ns:
        name = code.co_qualname if code is not None else type(callback).__name__
        share = sample.cpu_share if sample is not None else None
        cpu_ns = -1 if share is None else int(share * (end_ns - free_ns))
        recorder.background.append((name, Block(free_ns, end_ns, cpu_ns, sample, 0)))
    loop.callbacks.append(untracked(made(Callback, (start_ns, end_ns, duration_ns, 1, *whose, queued_ns))))


def flush_short(loop: Loop) -> None:
    """End a run of short callbacks: the loop slept, or a longer callback ran."""
    start_ns, end_ns = loop.short_start_ns, loop.short_end_ns
    # where it selects, it did not sleep in between: what lies between two is its own work
    busy_ns = end_ns - start_ns if loop.selects else loop.short_busy_ns
    owner = loop.short_owner
    whose = (owner.request.trace_id, owner.span_id) if owner else (0, 0)
    # which keeps no request alive: there are as many runs as requests
    run = (start_ns, end_ns, busy_ns, loop.short_count, *whose, loop.short_code, None, None, None)
    loop.callbacks.append(untracked(made(Callback, run)))
    loop.short_count = loop.short_busy_ns = loop.short_longest_ns = 0
    loop.short_owner = None


def code_behind(callback: Any) -> CodeType | None:
    """Return the code that a callback runs: its own, or its task's."""
    task = bound_to(callback)
    return task_code(task) if is_task(task) else code_of(callback)
