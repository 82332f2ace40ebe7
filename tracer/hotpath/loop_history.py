"""A loop's recent past, as its own thread writes it down: what ran on it for long, and runs of short callbacks."""

import threading
from types import CodeType
from typing import Any

from whywait.tracer.host.introspection import bound_to, code_of, is_task
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.tasks import task_code
from whywait.tracer.records.current import here
from whywait.tracer.records.request import Activity, Block, Callback, Loop, Sample, made

CALLBACK_MIN_NS = 100_000  # shorter callbacks are kept as runs, not one by one


def new_loop() -> Loop:
    """A record of the loop that runs on this thread, for one that has none in this session."""
    loop = here.loop = Loop(threading.get_ident(), threading.get_native_id())
    recorder = recorders.active
    if recorder is not None:
        recorder.loops.append(loop)
    return loop


def queued_since(loop: Loop) -> int | None:
    """How long the loop's thread was runnable without a CPU since this was last asked.

    Asked after each sleep, each long callback, and each stretch that was not all CPU: what lies between is short.
    """
    if not loop.live:  # its session has stopped: nothing may be opened any more
        return None
    before, loop.run_queue_ns = loop.run_queue_ns, run_queue_ns()
    if before is None or loop.run_queue_ns is None:
        return None
    return loop.run_queue_ns - before


def sample_of(loop: Loop | None, run_start_ns: int) -> Sample | None:
    """What the watchdog saw of the callback that began then, if it looked."""
    if loop is None or loop.sample is None or loop.sample[0] != run_start_ns:
        return None
    return loop.sample[1]


def keep_callback(
    loop: Loop, start_ns: int, end_ns: int, owner: Activity | None, callback: Any, queued_ns: int | None
) -> None:
    """Remembers what ran on the loop for long: it may turn out to have blocked somebody."""
    duration_ns = end_ns - start_ns
    if loop.short_count:
        flush_short(loop)
    sample = sample_of(loop, start_ns)
    if owner is not None:
        kept = Callback(
            start_ns,
            end_ns,
            duration_ns,
            1,
            owner.request.trace_id,
            owner.span_id,
            owner.code,
            sample,
            owner.request,
            queued_ns,
        )
    else:
        code = code_behind(callback)
        recorder = recorders.active
        if recorder is not None and duration_ns >= recorder.config.block_ns:
            name = code.co_qualname if code is not None else type(callback).__name__
            recorder.background.append((name, Block(start_ns, end_ns, -1, sample, 0)))
        kept = Callback(start_ns, end_ns, duration_ns, 1, 0, 0, code, sample, None, queued_ns)
    loop.callbacks.append(kept)


def flush_short(loop: Loop) -> None:
    """Ends a run of short callbacks: the loop slept, or something longer ran."""
    start_ns, end_ns = loop.short_start_ns, loop.short_end_ns
    # where it selects, it did not sleep in between: what lies between two is its own work
    busy_ns = end_ns - start_ns if loop.selects else loop.short_busy_ns
    run = (start_ns, end_ns, busy_ns, loop.short_count, 0, 0, loop.short_code, None, None, None)
    loop.callbacks.append(made(Callback, run))
    loop.short_count = loop.short_busy_ns = loop.short_longest_ns = 0


def code_behind(callback: Any) -> CodeType | None:
    """The code that a callback runs: its own, or its task's."""
    task = bound_to(callback)
    return task_code(task) if is_task(task) else code_of(callback)
