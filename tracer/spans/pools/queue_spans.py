"""The spans of a job's wait for its pool."""

from whywait.tracer import schema as s
from whywait.tracer.records.request import Job
from whywait.tracer.spans.attributes import put_occupants, put_pool
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.segments import Tile


def _woken(drawing: Drawing, job: Job, tile: Tile) -> int:
    """The thread that could have taken the job before the one that did: the next to begin one; 0 if unknown."""
    if job.pool is None:
        return 0
    later = drawing.past.pools.begun_after(job.pool, tile.start_ns)
    return next((one.thread_id for one in later if one.thread_id != job.thread_id), 0)


def add_queue_tile(drawing: Drawing, job: Job, tile: Tile, small: dict[str, int]) -> None:
    """The span of one stretch of the wait, or its part of a sum."""
    length_ns = tile.end_ns - tile.start_ns
    if length_ns < drawing.resolution_ns:
        small[tile.kind] = small.get(tile.kind, 0) + length_ns
        return
    attributes = drawing.wait_attributes(job, tile.kind)
    put_pool(attributes, job.pool)
    links: tuple[tuple[int, int], ...] = ()
    if tile.kind == s.WAIT_POOL_QUEUE and job.pool is not None:
        if job.pool.of_processes:
            attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED
        found = drawing.past.pools.shares(job.pool, tile.start_ns, tile.end_ns, job.span_id)
        links = put_occupants(attributes, drawing.request, *found)
    elif tile.kind == s.WAIT_POOL_STARTUP:
        initializer_ns = 0
        if job.initialized is not None:
            attributes[s.POOL_INITIALIZER], initializer_ns = job.initialized
            initializer_ns = attributes[s.POOL_INITIALIZER_NS] = min(initializer_ns, length_ns)
        if drawing.observed is not None and job.start_ns:
            # what the initializer did is the pool's start-up, whatever it was: only the thread's own start is asked
            started_ns = tile.end_ns - initializer_ns
            drawing.observed.put_blocked(
                attributes, tile.kind, job.thread_id, tile.start_ns, started_ns, 0, running=True
            )
    elif tile.kind == s.WAIT_POOL_HANDOVER and tile.start_ns < job.idle_since_ns:
        woken = _woken(drawing, job, tile)
        if drawing.observed is not None and woken:
            drawing.observed.put_back(attributes, "a free worker", woken, tile.start_ns, tile.end_ns)
            attributes.pop(s.LOCK_NS, None)  # the pool's own queue, where a worker waits that nobody woke
    elif tile.kind == s.WAIT_POOL_HANDOVER:
        attributes[s.CPU_NS] = min(max(job.handover_cpu_ns, 0), length_ns)
        if job.handover_run_queue_ns is not None:
            attributes[s.RUN_QUEUE_NS] = min(max(job.handover_run_queue_ns, 0), length_ns)
        if drawing.observed is not None:
            known_ns = max(job.handover_cpu_ns, 0) + max(job.handover_run_queue_ns or 0, 0)
            drawing.observed.put_blocked(
                attributes, tile.kind, job.thread_id, tile.start_ns, tile.end_ns, known_ns, woken=True
            )
    name = tile.kind.replace("_", " ")
    drawing.add_wait_span(name, job, job.span_id, tile.start_ns, tile.end_ns, attributes, links)
