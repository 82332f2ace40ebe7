"""The records that both loop probes share: a step of a task begins, a step ends.

A wake-up is followed through plain callbacks to its cause: a job's end schedules `_set_state`, which
schedules the task's wake-up, and the job is recorded as the waker of the task's wait.
"""

import asyncio
import contextvars
import sys
import threading
from time import perf_counter_ns
from types import FunctionType
from typing import Any

from whywait.tracer.host.code_location import await_site, is_library, is_wrapper, user_place
from whywait.tracer.host.cpu_meter import cpu_now_ns
from whywait.tracer.host.introspection import BOUND, bound_to, is_task, known_thread
from whywait.tracer.host.otel_context import current_span_id, span_id_in
from whywait.tracer.hotpath.job_sums import will_sum
from whywait.tracer.hotpath.loop_history import (
    CALLBACK_MIN_NS,
    code_behind,
    flush_short,
    keep_callback,
    queued_since,
    sample_of,
)
from whywait.tracer.hotpath.pools import watch_thread
from whywait.tracer.hotpath.tasks import adopt, end_task, task_code
from whywait.tracer.hotpath.waits import record_background_wait, record_wait
from whywait.tracer.records.background import MOST_TASKS, SEARCH_EVERY_NS, BackgroundTask, OtherThread
from whywait.tracer.records.current import here
from whywait.tracer.records.loop import Block, Loop, Sample
from whywait.tracer.records.request import IO, Activity, Job, Stamp, Standing
from whywait.tracer.schema import WAIT_AWAIT

SHORT_RUN_NS = 1_000_000  # the longest run of short callbacks
BLOCK_MIN_NS = 200_000  # shorter steps are not kept one by one
QUEUED_MIN_NS = 1_000_000  # the run-queue time of shorter callbacks is not read
SITE_MIN_NS = 200_000  # shorter waits are not given their place in the code

_Task = asyncio.Task  # the usual one, tested first
# a shorter step counts as on CPU throughout, and so does the gap between two adjacent ones
ON_CPU_NS = 50_000
PASSING_NS = 20_000
TURNS = 1_024  # of a task with many steps, one in so many in which it only yielded is given its place


def waker_now(current: Any, now: int = 0) -> Stamp:
    """Return the waker of a wake-up that happens now (`now`) on this thread, and since when it runs.

    `current` is the value of `here.current`.
    """
    if type(current) is tuple:
        callback, stamp = current
        if type(callback) is not FunctionType:
            # outside any activity: its task's code, or its waker
            task = bound_to(callback)
            if task is not None and is_task(task):
                known = here.loop.background.get(id(task)) if here.loop is not None else None
                return known or task_code(task), now or perf_counter_ns()
            if type(stamp[0]) is Activity:  # its request has ended in this step
                return stamp[0], now or perf_counter_ns()
        return stamp  # type: ignore[no-any-return]
    if current is None:
        now = now or perf_counter_ns()
        loop = here.loop
        if loop is None:
            return _other_thread(now), now
        # libuv calls its own for sockets, pipes, children and signals; asyncio has a handle for each
        return (None if loop.selects else IO), now
    return current, (current.done_ns or now or perf_counter_ns())


def _other_thread(now: int) -> OtherThread:
    known = known_thread(threading.get_ident())
    place = user_place(sys._getframe(1).f_back)  # of a thread of C code there may be none
    if place is not None and is_wrapper(place.file):  # its own function is the library's
        place = None
    thread_id = threading.get_native_id()
    watched = watch_thread(thread_id, now)  # what it does next, it may do for the next
    return OtherThread(place, known.name if known is not None else "", thread_id, watched)


def begin_callback(
    loop: Loop, found: Activity, callback: Any, stamp: Stamp, start_ns: int,
    context: "contextvars.Context | None",
) -> Activity | None:  # fmt: skip
    """Return the activity whose step this callback is, begun: its wait ends here. None where it is none.

    `found` is the activity in the callback's context; `context` is that context if it is not entered.
    """
    request = found.request
    if not request.open:
        return None
    task = callback.__self__ if type(callback) in BOUND else bound_to(callback)
    if type(task) is not _Task and not is_task(task):
        return None
    key = id(task)
    if found.task_key == key:
        activity = found
    else:
        known = request.tasks.get(key) or adopt(found, task, stamp[1], context)
        if known is None:
            return None
        activity = known
    end_task_wait(activity, task, stamp, start_ns, context)
    activity.step_start_ns = start_ns
    cpu = loop.cpu
    gap_ns = start_ns - cpu.at_ns
    # the meter is called at the step's end, and bounds the length of estimates
    activity.step_cpu_ns = cpu.cpu_ns + gap_ns if gap_ns < PASSING_NS else cpu.read(start_ns)
    return activity


def end_task_wait(
    activity: Activity, task: "asyncio.Task[Any]", stamp: Stamp, start_ns: int,
    context: "contextvars.Context | None",
) -> None:  # fmt: skip
    """The wait of a task ends with this step, which its waker caused."""
    request, stop_ns = activity.request, activity.stop_ns
    by, cause_ns = stamp
    site = None
    parent_id = 0
    if start_ns - stop_ns >= SITE_MIN_NS and activity.steps and not will_sum(request, start_ns - stop_ns, start_ns, by):
        site = await_site(task.get_coro())
        parent_id = current_span_id() if context is None else span_id_in(context)
    if by is activity and not activity.steps % TURNS:
        turn = await_site(task.get_coro())
        if turn is not None and not is_library(turn.user.file):  # a library yields for its own reasons
            activity.turn_site = turn
    kept = record_wait(activity, WAIT_AWAIT, stop_ns, cause_ns, start_ns, by, site, parent_id)
    if kept and type(by) is Job and not by.resume_ns:
        by.resume_ns = start_ns


def begin_background(loop: Loop, callback: Any, stamp: Stamp, start_ns: int) -> None:
    """This callback is no step of a request. If it is one of a known task, the task's wait ends here."""
    task = callback.__self__ if type(callback) in BOUND else bound_to(callback)
    known = loop.background.get(id(task))
    if known is None or start_ns - known.stop_ns < SITE_MIN_NS:
        return
    alive = known.task()
    if alive is not None and alive is task:
        record_background_wait(loop, known, stamp, start_ns, await_site(alive.get_coro()))


def end_background(loop: Loop, callback: Any, end_ns: int) -> None:
    """This callback was no step of a request. If it was one of a task, the task waits from now on, or has ended."""
    task = callback.__self__ if type(callback) in BOUND else bound_to(callback)
    if type(task) is not _Task and not is_task(task):
        return
    key, tasks = id(task), loop.background
    if task.done():
        tasks.pop(key, None)
        return
    known = tasks.get(key)
    if known is None or known.task() is not task:
        if len(tasks) >= MOST_TASKS:
            if end_ns - loop.searched_ns < SEARCH_EVERY_NS:
                return
            loop.searched_ns = end_ns
            loop.background = tasks = {one: other for one, other in tasks.items() if other.task() is not None}
            if len(tasks) >= MOST_TASKS:
                return
        known = tasks[key] = BackgroundTask(task, task_code(task), loop)
    known.stop_ns = end_ns


def end_short(
    loop: Loop, owner: Activity | None, step: Activity | None, callback: Any, start_ns: int, end_ns: int
) -> None:
    """A callback has run for less than `CALLBACK_MIN_NS` for `owner`, and was a step of the activity `step`.

    This is the usual end, so it has to be fast.
    """
    # 1. The run of short callbacks that it belongs to
    duration_ns = end_ns - start_ns
    if not loop.short_count:
        loop.short_start_ns = start_ns
        loop.short_until_ns = start_ns + SHORT_RUN_NS
    loop.short_count += 1
    if not loop.selects:
        loop.short_busy_ns += duration_ns
    loop.short_end_ns = end_ns
    if owner is not None:
        known = loop.short_owner
        if known is None:
            loop.short_owner = owner
        elif known is not False and known.request is not owner.request:
            loop.short_owner = False
    if duration_ns > loop.short_longest_ns:
        loop.short_longest_ns = duration_ns
        if owner is not None:
            loop.short_code = owner.code
        elif type(callback) is FunctionType and not hasattr(callback, "__wrapped__"):
            loop.short_code = callback.__code__
        else:
            loop.short_code = code_behind(callback)
    if end_ns >= loop.short_until_ns:
        flush_short(loop)
    # 2. The step that it was, as `end_step` has it
    if step is None:
        return
    step.cpu_ns += loop.cpu.at(end_ns, ON_CPU_NS) - step.step_cpu_ns
    step.run_ns += end_ns - step.step_start_ns
    step.steps += 1
    step.stop_ns = end_ns
    task = callback.__self__ if type(callback) in BOUND else bound_to(callback)
    if (type(task) is _Task or is_task(task)) and task.done():
        end_task(step, task, end_ns)


def end_callback(
    loop: Loop, current: Activity | Standing | None, opened: Activity | None, begun: Activity | None,
    found: Activity | None, callback: Any, start_ns: int, end_ns: int,
) -> None:  # fmt: skip
    """A callback has run, in which a request may have been `opened`.

    `begun` is the activity of the step at its beginning, `current` the value of `here.current` at its end.
    """
    loop.run_start_ns = 0
    # a request may have been opened (SERVER span) or closed in this very step
    owner: Activity | None = begun
    if current is not begun and type(current) is not tuple and isinstance(current, Activity):
        owner = current
    duration_ns = end_ns - start_ns
    if duration_ns < CALLBACK_MIN_NS:
        end_short(loop, owner, owner if current is owner else None, callback, start_ns, end_ns)
        return
    queued_ns: int | None = None
    known = owner or opened
    if known is None and found is not None and found.request.open:
        known = found
    if duration_ns >= QUEUED_MIN_NS:
        queued_ns = queued_since(loop)
        if queued_ns is not None:
            queued_ns += loop.counted_queue_ns
    loop.counted_queue_ns = 0
    keep_callback(loop, start_ns, end_ns, known, callback, queued_ns)
    if owner is None or current is not owner:
        return
    sample = sample_of(loop, start_ns) if duration_ns >= BLOCK_MIN_NS else None
    end_step(loop, owner, end_ns, sample, queued_ns)
    task = bound_to(callback)
    if (type(task) is _Task or is_task(task)) and task.done():
        end_task(owner, task, end_ns)


def end_step(
    loop: Loop | None, activity: Activity, end_ns: int, sample: Sample | None, queued_ns: int | None = None
) -> int | None:
    """A task was suspended or has ended; `queued_ns` is its run-queue time, if it was read.

    Return it, or the value read here.
    """
    duration_ns = end_ns - activity.step_start_ns
    now_ns = loop.cpu.at(end_ns, ON_CPU_NS) if loop is not None else cpu_now_ns()
    cpu_ns = now_ns - activity.step_cpu_ns
    activity.cpu_ns += cpu_ns
    activity.run_ns += duration_ns
    activity.steps += 1
    activity.stop_ns = end_ns
    if duration_ns >= BLOCK_MIN_NS and activity.request.take():
        if queued_ns is None and loop is not None and duration_ns - cpu_ns >= BLOCK_MIN_NS:
            queued_ns = queued_since(loop)
        blocks = activity.blocks
        if blocks is None:
            blocks = activity.blocks = []
        blocks.append(Block(activity.step_start_ns, end_ns, cpu_ns, sample, 0, queued_ns))
    return queued_ns


def close_wait(activity: Activity, end_ns: int) -> None:
    """The activity's request ends while the activity waits: the current code is the waker.

    A streamed response ends so: a task of its own sends its last part.
    """
    current = here.current
    if not isinstance(current, Activity) or current is activity or current.request is not activity.request:
        return
    if activity.steps:
        record_wait(activity, WAIT_AWAIT, activity.stop_ns, end_ns, end_ns, current, None, 0)
