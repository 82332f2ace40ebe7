"""A job's life as the executor probes see it: made at submit, begun and ended on its worker thread."""

import contextvars
import functools
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from time import perf_counter_ns
from types import CodeType, FunctionType
from typing import Any
from weakref import ref

from whywait.tracer.host.code_location import caller_place
from whywait.tracer.host.introspection import bound_to, code_of, name_of, take_this_frame_out
from whywait.tracer.host.otel_context import StandIn, current_span_id, enter, leave
from whywait.tracer.host.thread_clocks import ESTIMATED_NS, run_queue_ns, thread_time_ns
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.records.current import ACTIVITY, current_activity, here
from whywait.tracer.records.request import Job, Occupancy, Pool

_NO_QUEUE_NS = 20_000  # off the CPU for less: what of it was the run queue is not asked
_ON_CPU_NS = 20_000  # shorter jobs, and stretches between two, are taken to have been on the CPU throughout
_RESTED_NS = 30_000_000  # after which the sampler may look at a thread less often
_PLAINLY = (FunctionType, type)  # of callables that stand for themselves
PLAIN = "_whywait_plain"  # on a function of ours that stands for one of the host's: that one

# by id, since an owner may have an equality, or no hash, of its own
_pools: dict[int, tuple[ref[Any], Pool]] = {}
_pool_ids = count(1)


def pool_of(owner: Any, name: str, size: int, *, new: bool = False) -> Pool:
    """The record of an executor or limiter; made on first sight, with its place in the code if `new`."""
    pool = known_pool(owner)
    if pool is None:
        made_at = caller_place() if new else None
        pool = Pool(next(_pool_ids), name, size, perf_counter_ns() if new else 0, made_at)
        key = id(owner)
        _pools[key] = (ref(owner, lambda _, pools=_pools: pools.pop(key, None)), pool)  # type: ignore[misc]
    return pool


def known_pool(owner: Any) -> Pool | None:
    """The record of an executor or limiter, if there is one."""
    known = _pools.get(id(owner))
    return known[1] if known is not None and known[0]() is owner else None


def forget_pools() -> None:
    """Drops every pool record. Called by `stop`."""
    _pools.clear()


def make_job(pool: Pool, function: Callable[..., Any], args: tuple[Any, ...]) -> Job | None:
    """A job of the activity that runs here now; None outside any request."""
    spawner = current_activity()
    if spawner is None:
        return None
    request = spawner.request
    if not request.take():
        return None
    now = perf_counter_ns()
    job = Job(request, spawner, now, current_span_id())
    job.name, job.code = describe(function, args)
    job.pool = pool
    job.pool_age_ns = now - pool.made_ns if pool.made_ns else -1
    request.activities.append(job)
    return job


def occupancy_of(
    pool: Pool, job: Job | None, function: Callable[..., Any], args: tuple[Any, ...]
) -> Occupancy:
    """What will be known of this job after it is forgotten."""
    if job is None:
        name, code = describe(function, args)
        return Occupancy(name, 0, 0, code)
    held = job.occupancy = Occupancy(job.name, job.request.trace_id, job.span_id, job.code)
    return held


def describe(function: Any, args: tuple[Any, ...] = ()) -> tuple[str, CodeType | None]:
    """The user's function behind partials, bound methods and `asyncio.to_thread`, and its code."""
    if type(function) is FunctionType and not function.__dict__:
        return function.__qualname__, function.__code__
    if type(function) is type:
        return function.__qualname__, None
    while True:
        if issubclass(type(function), functools.partial):
            args = (*function.args, *args)
            function = function.func
        elif type(bound_to(function)) is contextvars.Context and args:
            function, args = args[0], args[1:]  # context.run(function, ...)
        else:
            break
    if type(function) is FunctionType:
        function = function.__dict__.get(PLAIN) or function
    return name_of(function), code_of(function)


def timed_initializer(initializer: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, whose length is told to the first job of the thread that makes it."""

    @functools.wraps(initializer)
    def initialize(*args: Any, **kwargs: Any) -> Any:
        start_ns = perf_counter_ns()
        try:
            return initializer(*args, **kwargs)
        finally:
            if recorders.active is not None:
                here.initialized = (describe(initializer, args)[0], perf_counter_ns() - start_ns)

    return initialize


def carried_context(function: Any) -> contextvars.Context | None:
    """The context that `asyncio.to_thread` made for this job alone, if it did."""
    while issubclass(type(function), functools.partial):
        function = function.func
    owner = bound_to(function)
    return owner if type(owner) is contextvars.Context else None


def run_job(
    pool: Pool, job: Job | None, held: Occupancy, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """What a worker runs in the function's place: the same call, between two readings of the clocks."""
    if job is None:
        _hold(pool, held, threading.get_native_id(), perf_counter_ns())
        before, here.current = here.current, None
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            held.end_ns = perf_counter_ns()
            here.current = before if not isinstance(before, Job) else None
            _leave_clocks(held.end_ns)
            # the frames of an exception refer back to this one: it must not keep the arguments alive
            function = args = kwargs = None  # type: ignore[assignment]
    token = _enter(pool, job, held, None if type(function) in _PLAINLY else carried_context(function))
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        job.outcome = "error"
        take_this_frame_out(error)
        raise
    finally:
        _leave(job, held, token)
        function = args = kwargs = None  # type: ignore[assignment]


def _enter(pool: Pool, job: Job, held: Occupancy, carried: contextvars.Context | None) -> Any:
    mine = here.__dict__
    idle: tuple[int, int, int | None] | None = mine.get("idle")
    if "initialized" in mine:
        job.initialized = mine.pop("initialized")
    recorder = recorders.active
    now = perf_counter_ns()
    rested = True
    if idle is not None:
        since_ns, idle_cpu, before = idle
        job.idle_since_ns = since_ns
        idle_ns = now - since_ns
        rested = idle_ns >= _RESTED_NS
        run_queue = before
        if idle_ns >= _NO_QUEUE_NS:  # else it came from its job before
            run_queue = run_queue_ns()
            mine["cpu_read_ns"] = now
            cpu = thread_time_ns()
        elif now - mine.get("cpu_read_ns", 0) < ESTIMATED_NS:
            cpu = idle_cpu + idle_ns
        else:
            cpu = _read_cpu(mine, now)
        job.handover_cpu_ns = cpu - idle_cpu
        if run_queue is not None and before is not None:
            job.handover_run_queue_ns = run_queue - before
    else:
        run_queue = run_queue_ns()
        cpu = _read_cpu(mine, now)
    thread = mine.get("thread") or _thread_here(mine)
    thread_id = held.thread_id = job.thread_id = thread.native_id or 0
    job.thread_name = thread.name
    job.run_queue_ns = run_queue
    if rested and recorder is not None and recorder.sampler is not None:
        recorder.sampler.woke(thread_id)
    mine["current"] = job
    request = job.request
    span = StandIn(request.trace_id, job.run_id, request.sampled_flags, request.trace_state)
    if carried is not None:
        with suppress(RuntimeError):  # it is entered elsewhere, so not to_thread's own: leave it alone
            carried.run(_set_current, job, span)
    token = enter(span)
    job.step_cpu_ns = cpu
    held.start_ns = job.start_ns = perf_counter_ns()
    pool.occupancies.append(held)
    if recorder is not None:
        recorder.holds.append(held)
    return token


def _thread_here(mine: dict[str, Any]) -> threading.Thread:
    thread = threading.current_thread()
    if type(thread) is not threading._DummyThread:  # that one ends before its thread, and another is made
        mine["thread"] = thread
    return thread


def _hold(pool: Pool, held: Occupancy, thread_id: int, start_ns: int) -> None:
    held.thread_id = thread_id
    held.start_ns = start_ns
    pool.occupancies.append(held)
    recorder = recorders.active
    if recorder is not None:
        recorder.holds.append(held)


def _read_cpu(mine: dict[str, Any], now: int) -> int:
    mine["cpu_read_ns"] = now
    return thread_time_ns()


def _set_current(job: Job, span: StandIn) -> None:
    ACTIVITY.set(job)
    enter(span)


def _leave(job: Job, held: Occupancy, token: Any) -> None:
    end_ns = perf_counter_ns()
    mine = here.__dict__
    length_ns = end_ns - job.start_ns
    if length_ns < _ON_CPU_NS and end_ns - mine.get("cpu_read_ns", 0) < ESTIMATED_NS:
        cpu_ns = job.step_cpu_ns + length_ns
    else:
        cpu_ns = _read_cpu(mine, end_ns)
    used_ns = job.cpu_ns = cpu_ns - job.step_cpu_ns
    held.end_ns = job.done_ns = job.end_ns = job.stop_ns = end_ns
    before = run_queue = job.run_queue_ns
    if length_ns - used_ns >= _NO_QUEUE_NS:  # else nearly throughout on the CPU
        run_queue = run_queue_ns()
    job.run_queue_ns = run_queue - before if run_queue is not None and before is not None else None
    pool = job.pool
    if pool is not None:
        pool.last_job = job
    leave(token)
    mine["idle"] = end_ns, cpu_ns, run_queue
    # `here.current` stays the job: what the worker now does, it does to deliver this job's result


def _leave_clocks(end_ns: int) -> None:
    here.idle = end_ns, _read_cpu(here.__dict__, end_ns), run_queue_ns()
