"""Sums what a request with many records has no room for: short waits, and short jobs awaited one after another.

A response that is streamed in 8,000 chunks hands 8,000 jobs to a pool. The first of them are kept one by one; of the
later ones those that took less than a hundredth of the request so far are summed, and their records are freed.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from whywait.tracer.records.current import here
from whywait.tracer.records.job_sums import TURN, TURN_NS, JobSums, Like, Stretch
from whywait.tracer.records.request import MIN_RESOLUTION_NS, Activity, Job, Pool, Request, Waker
from whywait.tracer.schema import WAIT_AWAIT, WAIT_LOOP_WAKEUP, WAIT_RESUME

_SMALL_NS: Final = 1_000_000  # a longer wait is kept, unless it was for a job
# of the request so far: what is longer than its hundredth is kept; than its tenth with less than half, and than all of
# it with less than a quarter of the room for records left
_SHARES: Final = (1, 10, 100, 100)
_MOST_KINDS: Final = 64  # of jobs in one stretch
_LAST: Final = 8  # of a pool's occupants: a job that has just ended is among them


def is_summed(
    activity: Activity, kind: str, start_ns: int, cause_ns: int, end_ns: int, by: Waker, thread: bool
) -> bool:
    """Sum a wait that has just ended, and the job that ended it, if both were short; return whether it was.

    Called for waits of a request that has many records already. Another record ends the stretch of the sums.
    """
    if by is activity and not thread and end_ns - start_ns < TURN_NS:
        _add_short(activity, ((TURN, end_ns - start_ns),))
        return True
    request = activity.request
    limit_ns = max((end_ns - request.start_ns) // _share(request), MIN_RESOLUTION_NS)
    wakeup_ns = 0 if thread else _wakeup_ns(cause_ns, end_ns)
    if type(by) is Job and _is_one_of_many(activity, kind, by) and end_ns - min(by.born_ns, start_ns) < limit_ns:
        sums = _sums_of(activity, start_ns, end_ns, by)
        if sums is not None:
            _add_job(sums, by, start_ns, cause_ns)
            sums.wakeup_ns += wakeup_ns
            sums.resume_ns += end_ns - cause_ns - wakeup_ns
            return True
    if end_ns - start_ns >= min(limit_ns, _SMALL_NS):
        if activity.stretches:
            activity.stretches[-1].is_over = True
        return False
    parts = (kind, cause_ns - start_ns), (WAIT_LOOP_WAKEUP, wakeup_ns), (WAIT_RESUME, end_ns - cause_ns - wakeup_ns)
    _add_short(activity, parts)
    return True


def _add_short(activity: Activity, parts: Iterable[tuple[str, int]]) -> None:
    short = activity.short_ns
    if short is None:
        short = activity.short_ns = {}
    for of, ns in parts:
        if ns:
            short[of] = short.get(of, 0) + ns


def will_sum(request: Request, length_ns: int, end_ns: int, by: Waker) -> bool:
    """Return whether a wait for `by` is probably short enough to be summed: then it needs no place in the code."""
    if request.records_left >= request.sums_from or type(by) is not Job:
        return False
    return length_ns * _share(request) < end_ns - request.start_ns


def _share(request: Request) -> int:
    return _SHARES[max(request.records_left, 0) * len(_SHARES) // request.sums_from]


def _is_one_of_many(activity: Activity, kind: str, job: Job) -> bool:
    """Whether nothing but the activity's own wait needs the job's record; spans inside it keep it while there is
    room for it."""
    request = activity.request
    ended_well = job.end_ns and not job.resume_ns and job.outcome == "ok" and job.passage is None
    if kind != WAIT_AWAIT or not ended_well or job.spawner is not activity or job.collector is not None:
        return False
    return not (job.is_parent and request.records_left * 2 > request.sums_from)


def _sums_of(activity: Activity, start_ns: int, end_ns: int, job: Job) -> JobSums | None:
    """Return the sums that the job belongs to, and free its record; None if it has to keep it."""
    stretches = activity.stretches
    if stretches is None:
        stretches = activity.stretches = []
    if not stretches or stretches[-1].is_over:
        stretches.append(Stretch(min(start_ns, job.born_ns)))
    stretch = stretches[-1]
    key = id(job.code) if job.code is not None else job.name, id(job.pool)  # both are kept by the sums
    sums = stretch.sums.get(key)
    if sums is None and len(stretch.sums) >= _MOST_KINDS:
        return None
    if not activity.request.forget(job):
        return None
    if sums is None:
        sums = stretch.sums[key] = JobSums(Like(job.name, job.code, job.pool))
    else:
        activity.request.records_left += 1
    stretch.end_ns, stretch.latest = end_ns, sums
    return sums


def _add_job(sums: JobSums, job: Job, start_ns: int, done_ns: int) -> None:
    """Add a job that its activity awaited from `start_ns` to `done_ns`."""
    sums.count += 1
    sums.waited_ns += done_ns - start_ns
    began_ns = min(max(job.start_ns, start_ns), done_ns)
    queued_ns = min(max(job.idle_since_ns - start_ns, 0), began_ns - start_ns)  # its worker had another job
    sums.queue_ns += queued_ns
    sums.handover_ns += began_ns - start_ns - queued_ns
    sums.cpu_ns += min(max(job.cpu_ns, 0), done_ns - began_ns)
    sums.run_queue_ns += job.run_queue_ns or 0
    sums.thread = job.thread_id, job.thread_name
    inside = sums.inside_ns
    for wait in job.waits:
        inside[wait.kind] = inside.get(wait.kind, 0) + wait.end_ns - wait.start_ns
    for kind, ns in (job.short_ns or {}).items():
        inside[kind] = inside.get(kind, 0) + ns
    if job.pool is not None:
        _rename_occupant(job.pool, job.span_id, sums.span_id)
    job.span_id, job.run_id = sums.span_id, sums.run_id  # for who was woken by it


def _rename_occupant(pool: Pool, before: int, after: int) -> None:
    """Whoever queued behind the job finds the sums' span."""
    with suppress(IndexError):
        for at in range(-1, -_LAST, -1):
            occupancy = pool.occupancies[at]
            if occupancy.span_id == before:
                occupancy.span_id = after
                return


def _wakeup_ns(cause_ns: int, end_ns: int) -> int:
    """For how long the loop still slept after the cause of a wake-up."""
    loop = here.loop
    return min(max(loop.polled_ns - cause_ns, 0), end_ns - cause_ns) if loop is not None and loop.selects else 0
