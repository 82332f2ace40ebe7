"""The spans of tasks and jobs."""

from whywait.tracer import schema as s
from whywait.tracer.offcpu.attributes import Attributes
from whywait.tracer.records.decision import WHY_ALL
from whywait.tracer.records.request import Activity, Job, Request
from whywait.tracer.spans.attributes import place, put_place, put_pool
from whywait.tracer.spans.phase_tree import summed
from whywait.tracer.spans.pools.device_queue import put_sums
from whywait.tracer.spans.pools.process_job_spans import add_passage
from whywait.tracer.spans.pools.queue_spans import add_queue_tile
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.run_spans import put_running
from whywait.tracer.spans.segments import queue_tiles
from whywait.tracer.spans.span_spec import SpanSpec, span_hex, trace_hex


def add_task(drawing: Drawing, task: Activity, small: dict[str, int]) -> None:
    """The span of a task."""
    request = drawing.request
    attributes: Attributes = {
        s.KIND: s.KIND_TASK,
        s.ACTIVITY: span_hex(task.span_id),
        s.CPU_NS: task.cpu_ns,
        s.RUN_NS: task.run_ns,
        s.STEPS: task.steps,
        s.OUTCOME: task.outcome,
    }
    _describe(drawing, attributes, task, small)
    _put_small_phases(drawing, attributes, task)
    is_root = task is request.root
    if is_root:
        attributes[s.ROOT] = True
        attributes[s.CONTRACT] = s.CONTRACT_VERSION
        attributes[s.RESOLUTION_NS] = drawing.resolution_ns
        attributes[s.SIGNALS] = [*drawing.signals, *_loop_signal(request)]
        decision = request.decision
        if decision is not None and decision.why != WHY_ALL:
            attributes[s.WEIGHT] = decision.weight
            attributes[s.KEPT] = decision.why
        if drawing.lost:
            attributes[s.LOST] = sum(drawing.lost.values())
            attributes[s.LOST_KINDS] = [f"{count} × {kind}" for kind, count in sorted(drawing.lost.items())]
        if request.lost:
            attributes[s.INCOMPLETE] = [f"{request.lost} records over the limit of one request were dropped"]
    unix = is_root and bool(request.start_unix_ns)
    drawing.made.append(
        SpanSpec(
            f"task {task.name}" if task.name else "task",
            request.trace_id,
            task.span_id,
            task.parent_id if is_root else drawing.parent_of(task),
            request.start_unix_ns if unix else task.born_ns,
            request.end_unix_ns if unix else drawing.end_of(task),
            attributes,
            unix=unix,
        )
    )


def add_job(drawing: Drawing, job: Job, small: dict[str, int]) -> None:
    """The spans of a job: its own, the wait for its pool, and the run of its function."""
    request = drawing.request
    ended_ns = job.end_ns or max(request.end_ns, job.start_ns, job.born_ns)
    started_ns = min(max(job.start_ns, job.born_ns), ended_ns) if job.start_ns else ended_ns
    for tile in queue_tiles(job, started_ns, drawing.past.pools.full_until):
        add_queue_tile(drawing, job, tile, small)
    if job.start_ns and job.passage is not None:
        add_passage(drawing, job, job.passage, started_ns, ended_ns, small)
    elif job.start_ns:
        _add_run(drawing, job, started_ns, ended_ns)
    attributes: Attributes = {
        s.KIND: s.KIND_JOB,
        s.ACTIVITY: span_hex(job.span_id),
        s.OUTCOME: job.outcome if job.start_ns else "cancelled",
    }
    put_pool(attributes, job.pool)
    if job.pool_age_ns >= 0:
        attributes[s.POOL_AGE_NS] = job.pool_age_ns
    _describe(drawing, attributes, job, small)
    drawing.made.append(
        SpanSpec(
            f"{s.JOB_SPAN_PREFIX}{job.name}",
            request.trace_id,
            job.span_id,
            drawing.parent_of(job),
            job.born_ns,
            max(job.resume_ns, ended_ns),
            attributes,
        )
    )


def _add_run(drawing: Drawing, job: Job, started_ns: int, ended_ns: int) -> None:
    running: Attributes = {
        s.KIND: s.KIND_RUN,
        s.ACTIVITY: span_hex(job.span_id),
        s.CPU_NS: min(max(job.cpu_ns, 0), ended_ns - started_ns),
        s.THREAD_ID: job.thread_id,
        s.THREAD_NAME: job.thread_name,
    }
    run_queue_ns = drawing.queued_beside(job, started_ns, ended_ns, job.run_queue_ns)
    if job.end_ns and run_queue_ns is not None:
        running[s.RUN_QUEUE_NS] = run_queue_ns
    put_place(running, place(job.code))
    _put_small_phases(drawing, running, job)
    if job.end_ns:
        put_running(
            drawing,
            running,
            job.code or job.name,
            job,
            started_ns,
            ended_ns,
            job.cpu_ns,
            run_queue_ns,
        )
    drawing.made.append(
        SpanSpec(job.name, drawing.request.trace_id, job.run_id, job.span_id, started_ns, ended_ns, running)
    )


def _describe(drawing: Drawing, attributes: Attributes, activity: Activity, small: dict[str, int]) -> None:
    spawner = drawing.kept_or_spawner(activity.spawner)
    if spawner is not None:
        attributes[s.SPAWNED_BY] = span_hex(spawner.span_id)
        if spawner.request is not drawing.request:
            attributes[s.SPAWNED_BY_TRACE] = trace_hex(spawner.request.trace_id)
    for kind, ns in small.items():
        if ns > 0:
            attributes[f"{s.SMALL_PREFIX}{kind}_ns"] = ns
    put_place(attributes, place(activity.code))


def _put_small_phases(drawing: Drawing, attributes: Attributes, activity: Activity) -> None:
    own, settled = activity.small_phases, drawing.small_phases.get(id(activity))
    if own or settled:
        put_sums(attributes, summed(own, settled))


def _loop_signal(request: Request) -> list[str]:
    if request.loop is None:
        return []
    return [s.SIGNAL_LOOP if request.loop.selects else s.SIGNAL_LOOP_CALLS]
