"""The spans of a job's wait for its pool."""

from whywait.tracer import schema as s
from whywait.tracer.offcpu.explanation import UNSEEN, OffCpu
from whywait.tracer.records.request import Job
from whywait.tracer.spans.blockers import occupants
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.segments import Segment
from whywait.tracer.spans.span_spec import AboutWait, wait_name


def add_queue_segment(drawing: Drawing, job: Job, segment: Segment, small: dict[str, int]) -> None:
    length_ns = segment.end_ns - segment.start_ns
    if length_ns < drawing.resolution_ns:
        small[segment.kind] = small.get(segment.kind, 0) + length_ns
        return
    if segment.kind == s.WAIT_POOL_QUEUE:  # 1. all workers were busy
        about = _queued(drawing, job, segment)
    elif segment.kind == s.WAIT_POOL_STARTUP:  # 2. its worker had to be started
        about = _started(drawing, job, segment)
    elif segment.start_ns < job.idle_since_ns:  # 3. another worker was free, and did not take it
        about = AboutWait(job.span_id, segment.kind, _not_taken(drawing, job, segment), pool=job.pool)
    else:  # 4. its worker was free, and had not begun
        about = AboutWait(job.span_id, segment.kind, _handed_over(drawing, job, segment), pool=job.pool)
    drawing.add(wait_name(segment.kind), job, job.span_id, segment.start_ns, segment.end_ns, about)


def _queued(drawing: Drawing, job: Job, segment: Segment) -> AboutWait:
    if job.pool is None:
        return AboutWait(job.span_id, segment.kind)
    shares = drawing.past.pools.shares(job.pool, segment.start_ns, segment.end_ns, job.span_id)
    return AboutWait(
        job.span_id, segment.kind, pool=job.pool, occupants=occupants(*shares), inferred=job.pool.of_processes
    )


def _started(drawing: Drawing, job: Job, segment: Segment) -> AboutWait:
    initializer = job.initialized
    if initializer is not None:
        initializer = initializer[0], min(initializer[1], segment.end_ns - segment.start_ns)
    off_cpu = UNSEEN
    if drawing.observed is not None and job.start_ns:
        # the initializer's time is the pool's start-up: only the thread's own start is explained
        started_ns = segment.end_ns - (initializer[1] if initializer is not None else 0)
        off_cpu = drawing.observed.blocked(segment.kind, job.thread_id, segment.start_ns, started_ns, running=True)
    return AboutWait(job.span_id, segment.kind, off_cpu, pool=job.pool, initializer=initializer)


def _not_taken(drawing: Drawing, job: Job, segment: Segment) -> OffCpu:
    free = drawing.past.pools.free(job.pool, segment.start_ns, segment.end_ns) if job.pool is not None else ()
    if drawing.observed is None or not free:
        return UNSEEN
    # of a worker's sleep, its lock is the pool's own queue
    return drawing.observed.way_back("a free worker", free, returns=True)._replace(lock_ns=None)


def _handed_over(drawing: Drawing, job: Job, segment: Segment) -> OffCpu:
    length_ns = segment.end_ns - segment.start_ns
    cpu_ns, queued_ns = min(max(job.handover_cpu_ns, 0), length_ns), job.handover_run_queue_ns
    if queued_ns is not None:
        queued_ns = min(max(queued_ns, 0), length_ns)
    if drawing.observed is None:
        return OffCpu(cpu_ns, queued_ns)
    return drawing.observed.blocked(
        segment.kind, job.thread_id, segment.start_ns, segment.end_ns, cpu_ns=cpu_ns,
        run_queue_ns=queued_ns, woken=True,
    )  # fmt: skip
