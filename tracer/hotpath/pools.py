"""The records of executors and limiters, and of their occupants."""

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.host.code_location import caller_place
from whywait.tracer.host.cpu_meter import cpu_now_ns
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.job_names import describe
from whywait.tracer.records.ids import new_pool_id
from whywait.tracer.records.occupancy import Occupancy, Watched
from whywait.tracer.records.request import Job, Pool

MOST_WORKING: Final = 1_024
MOST_MARKS: Final = 16


def pool_of(owner: Any, name: str, size: int, *, new: bool = False) -> Pool:
    """Return the record of an executor or limiter; created on first use, with its code location if `new`."""
    pool = known_pool(owner)
    if pool is None:
        made_at = caller_place() if new else None
        pool = Pool(new_pool_id(), name, size, perf_counter_ns() if new else 0, made_at)
        recorder = recorders.active
        if recorder is not None:
            recorder.pools.set(owner, pool)
    return pool


def known_pool(owner: Any) -> Pool | None:
    """Return the record of an executor or limiter, if this session has one."""
    recorder = recorders.active
    return recorder.pools.get(owner) if recorder is not None else None


def occupancy_of(pool: Pool, job: Job | None, function: Callable[..., Any], args: tuple[Any, ...]) -> Occupancy:
    """Return the occupancy record, which outlives the job's own record."""
    if job is None:
        name, code = describe(function, args)
        return Occupancy(name, 0, 0, code)
    return Occupancy(job.name, job.request.trace_id, job.span_id, job.code)


def begin_occupancy(pool: Pool, held: Occupancy, thread_id: int, start_ns: int) -> None:
    """Record that the job occupies a worker of the pool from now on."""
    held.thread_id = thread_id
    held.start_ns = start_ns
    pool.occupancies.append(held)
    recorder = recorders.active
    if recorder is not None:
        recorder.holds.append(held)
        _works(recorder.working, held)


def watch_thread(thread_id: int, start_ns: int) -> tuple[tuple[int, int], ...]:
    """Have the stack of this thread, of no pool, sampled from now on, as that of a worker with a job, if requests are open:
    they may wait for what it does. Returns when this was done lately, and its CPU time then, this included; () without."""
    recorder = recorders.active
    if recorder is None or not recorder.open:
        return ()
    known = recorder.working.get(thread_id)
    if known is not None and not known.end_ns and not isinstance(known, Watched):
        return ()
    before = known.marks[1 - MOST_MARKS :] if isinstance(known, Watched) else ()
    held = Watched(thread_id, (*before, (start_ns, cpu_now_ns())))
    _works(recorder.working, held)
    return held.marks


def _works(working: dict[int, Occupancy], held: Occupancy) -> None:
    if len(working) >= MOST_WORKING:
        working.clear()
    working[held.thread_id] = held
