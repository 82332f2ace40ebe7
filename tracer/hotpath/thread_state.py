"""The one writer of `here`: what each thread does now. Probes call these functions.

A thread's state changes most often at the two ends of a loop callback. So the wrapper of a callback is in this
module, too: one frame between the loop and the callback, and no separate call for the state.
"""

import asyncio
import threading
from collections.abc import Callable
from time import perf_counter_ns
from types import FunctionType
from typing import Any
from weakref import ref

from whywait.tracer.host.code_location import Place
from whywait.tracer.host.cpu_meter import cpu_now_ns
from whywait.tracer.host.introspection import callback_of
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.loop_history import AWAY_MIN_NS, CALLBACK_MIN_NS, note_away, sample_of
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.task_steps import (
    begin_background,
    begin_callback,
    end_background,
    end_callback,
    end_short,
    end_step,
)
from whywait.tracer.records.background import BackgroundJob
from whywait.tracer.records.current import ACTIVITY, Worker, here
from whywait.tracer.records.loop import Alive, Loop
from whywait.tracer.records.request import Activity, Job, Stamp, Standing
from whywait.tracer.waking.lazy_start import wake

# Callbacks


def handle_runner(plain_run: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return the `_run` of asyncio's handles: the plain one, between two readings of the clock."""

    def _run(self: Any) -> None:
        start_ns = perf_counter_ns()
        activity: Activity | None = None
        callback = callback_of(self)
        try:
            mine = here.__dict__
            loop = mine.get("loop")
            if loop is None or not loop.live:
                loop = new_loop()
            loop.run_start_ns = start_ns
            context = self._context
            found = context.get(ACTIVITY) or mine.get("outer")
            stamp = self._stamp
            if found is not None and type(callback) is not FunctionType:
                activity = begin_callback(loop, found, callback, stamp, start_ns, context)
            if activity is None and type(callback) is not FunctionType:
                begin_background(loop, callback, stamp, start_ns)
            mine["current"] = begun = activity or (callback, stamp)
        except Exception as error:
            probe_failed("loop", error)
            plain_run(self)
            return
        try:
            plain_run(self)
        finally:
            try:
                end_ns = perf_counter_ns()
                current = mine["current"]
                mine["current"] = None
                if current is begun and end_ns - start_ns < CALLBACK_MIN_NS:
                    end_short(loop, activity, activity, callback, start_ns, end_ns)
                else:
                    opened = mine.pop("opened", None)
                    end_callback(loop, current, opened, activity, found, callback, start_ns, end_ns)
                if activity is None and current is begun and type(callback) is not FunctionType:
                    end_background(loop, callback, end_ns)
            except Exception as error:
                probe_failed("loop", error)
            # the frames of an exception refer to this one: like asyncio's own `_run`, it must
            # not keep the task, its exception and so itself alive
            self = callback = context = activity = found = begun = current = None  # type: ignore[assignment]

    return _run


def run_scheduled(callback: Any, stamp: Stamp, *args: Any) -> Any:
    """What uvloop runs instead of a callback, in the callback's context."""
    start_ns = perf_counter_ns()
    activity: Activity | None = None
    try:
        mine = here.__dict__
        loop = mine.get("loop")
        if loop is None or not loop.live:
            loop = new_loop()
        if start_ns - loop.ended_ns >= AWAY_MIN_NS:
            note_away(loop, start_ns)
        loop.run_start_ns = start_ns
        if (alarm := loop.alarm) is not None:
            alarm.set()
        found = ACTIVITY.get() or mine.get("outer")
        if found is not None and type(callback) is not FunctionType:
            activity = begin_callback(loop, found, callback, stamp, start_ns, None)
        if activity is None and type(callback) is not FunctionType:
            begin_background(loop, callback, stamp, start_ns)
        begun: Activity | Standing | None
        mine["current"] = begun = activity or (callback, stamp)
    except Exception as error:
        probe_failed("uvloop", error)
        return callback(*args)
    try:
        return callback(*args)
    finally:
        try:
            end_ns = loop.ended_ns = perf_counter_ns()
            if (alarm := loop.alarm) is not None:
                alarm.stop()
            current = mine["current"]
            mine["current"] = None
            if current is begun and end_ns - start_ns < CALLBACK_MIN_NS:
                end_short(loop, activity, activity, callback, start_ns, end_ns)
            else:
                opened = mine.pop("opened", None)
                end_callback(loop, current, opened, activity, found, callback, start_ns, end_ns)
            if activity is None and current is begun and type(callback) is not FunctionType:
                end_background(loop, callback, end_ns)
        except Exception as error:
            probe_failed("uvloop", error)
        # the frames of an exception refer to this one: it must keep no object alive
        callback = args = None  # type: ignore[assignment]
        activity = found = begun = current = None


def new_loop() -> Loop:
    """Create the record of this thread's loop, if it has none in this session. A forked child that waits for a sign
    starts its session here: a loop runs."""
    wake()
    here.alive = Alive()
    loop = here.loop = Loop(threading.get_ident(), threading.get_native_id(), here.alive)
    recorder = recorders.active
    loop.live = recorder is not None  # else a callback that outlives its session: the next one makes its own record
    if recorder is not None:
        recorder.loops.append(loop)
        if (ring := recorder.ring) is not None:
            ring()
    return loop


def enter_loop(outer: Any) -> Activity | None:
    """What runs on this thread, `outer`, runs an event loop itself; return the token for `leave_loop`."""
    mine = here.__dict__
    before: Activity | None = mine.get("outer")
    mine["current"] = None
    mine["outer"] = outer if isinstance(outer, Activity) else before
    return before


def leave_loop(outer: Any, before: Activity | None) -> None:
    """The loop has stopped: `outer` goes on."""
    here.current, here.outer = outer, before


# Requests that begin and end inside a callback


def swap_standing(current: Any) -> Any:
    """Say what runs on this thread from now on; return what did."""
    before, here.current = here.current, current
    return before


def open_step(root: Activity, start_ns: int) -> "asyncio.Task[Any] | None":
    """Begin a request within this step; return the step's task, if any."""
    loop = here.loop
    root.step_start_ns = start_ns
    root.step_cpu_ns = loop.cpu.read(start_ns) if loop is not None else cpu_now_ns()
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    if task is not None:
        root.task_key, root.request.root_task = id(task), ref(task)
    here.current = here.opened = root
    return task


def close_step(activity: Activity, end_ns: int) -> None:
    """End the activity's request within this step: the rest of the step belongs to no request, but whom it wakes, as by
    a lock that a middleware has around the whole of it, was woken by this one."""
    if here.current is not activity:
        return
    here.current = None, (activity, end_ns)
    loop = here.loop
    sample = sample_of(loop, loop.run_start_ns if loop is not None else 0)
    queued_ns = end_step(loop, activity, end_ns, sample)
    if loop is not None:
        loop.counted_queue_ns += queued_ns or 0


# Jobs


def worker_here() -> Worker:
    """Return this worker thread's record, which lasts between its jobs."""
    worker = here.worker
    if worker is None:
        worker = here.worker = Worker()
    return worker


def enter_job(job: Job | None) -> Any:
    """The function of a job begins on this thread (None: a job outside any request); return the token for `leave_untraced`."""
    before, here.current = here.current, job
    return before


def leave_untraced(before: Any, job: BackgroundJob) -> None:
    """The function of a job outside any request has ended: this thread delivers its result, if it has no other work."""
    idle = before is None or isinstance(before, Job) or (type(before) is tuple and before[0] is None)
    here.current = (None, (job, job.end_ns)) if idle else before


def deliver(job: Job | None) -> None:
    """From now on this thread delivers the result of the job, whose function has ended."""
    here.current = job


def begin_submit(job: Job | None) -> None:
    """This thread submits a job to an executor."""
    here.submitting = job


def take_submitted() -> Job | None:
    """Return the job that this thread is submitting, once; None without one."""
    job, here.submitting = here.submitting, None
    return job


# Waits and phases of the function that runs


def begin_wait() -> bool:
    """A timed wait of this thread begins: waits inside it are part of it. Return the token for `end_wait`."""
    mine = here.__dict__
    inside: bool = mine.get("waiting", False)
    mine["waiting"] = True
    return inside


def end_wait(inside: bool) -> None:
    """The wait has ended; `inside`: it was part of another one."""
    here.waiting = inside


def note_freed(at_ns: int) -> None:
    """A wait inside the timed one was ended at `at_ns`."""
    here.freed_ns = max(here.freed_ns, at_ns)


def take_freed() -> int:
    """Return the end of the latest wait inside the timed one, once; 0 without one."""
    freed_ns, here.freed_ns = here.freed_ns, 0
    return freed_ns


def enter_handler(title: str, at: Place | None) -> tuple[str, Place | None]:
    """A logging handler begins, the user's with its `emit`; return the handler around it."""
    outer = here.handler, here.handler_at
    here.handler, here.handler_at = title, at
    return outer


def leave_handler(outer: tuple[str, Place | None]) -> None:
    """The logging handler has ended."""
    here.handler, here.handler_at = outer


def set_phase(innermost: Any) -> None:
    """An adapter times this call now."""
    here.phase = innermost


def recent_run_queue_ns(now_ns: int, oldest_ns: int) -> int | None:
    """Return this thread's run-queue time, read at most `oldest_ns` ago: a reading costs as much as a short call."""
    if now_ns - here.queue_read_ns >= oldest_ns:
        here.queue_ns, here.queue_read_ns = run_queue_ns(), now_ns
    return here.queue_ns


def forget_here() -> None:
    """In a forked child: reset the state, which belongs to a request of the parent."""
    here.__dict__.clear()
    ACTIVITY.set(None)
