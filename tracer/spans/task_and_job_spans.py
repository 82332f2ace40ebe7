"""The spans of tasks and jobs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place, is_library, is_middleware_of_django
from whywait.tracer.offcpu.explanation import OffCpu
from whywait.tracer.offcpu.gil_holders import Ran
from whywait.tracer.records.decision import WHY_ALL
from whywait.tracer.records.job_sums import TURN
from whywait.tracer.records.request import Activity, Job, Request
from whywait.tracer.spans.blockers import place_of
from whywait.tracer.spans.pools.process_job_spans import add_passage
from whywait.tracer.spans.pools.queue_spans import add_queue_segment
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.run_spans import running
from whywait.tracer.spans.segments import queue_segments
from whywait.tracer.spans.span_spec import AboutJob, AboutRequest, AboutRun, AboutTask, Root, SpanSpec, Spawner
from whywait.tracer.spans.waits.user_site import site_around

_COMPUTED_NS: Final = 1_000_000


def add_task(drawing: Drawing, task: Activity, small: dict[str, int]) -> None:
    request = drawing.request
    is_root = task is request.root
    turned_ns = small.pop(TURN, 0)
    cpu_ns = task.cpu_ns + turned_ns
    ran = None
    if task.turn_site is not None:
        ran = Ran(task.turn_site.user, max(cpu_ns - sum(one.cpu_ns for one in task.blocks or ()), 0))
    about = AboutTask(
        task.span_id, _spawner(drawing, task), small, place_of(task.code), task.outcome, cpu_ns,
        task.run_ns + turned_ns, task.steps, _small_phases(drawing, task), _root(drawing) if is_root else None,
        turned_ns, ran,
    )  # fmt: skip
    unix = is_root and bool(request.start_unix_ns)
    drawing.made.append(
        SpanSpec(
            f"{s.TASK_SPAN_PREFIX}{task.name}" if task.name else "task", request.trace_id, task.span_id,
            task.parent_id if is_root else drawing.parent_of(task),
            request.start_unix_ns if unix else task.born_ns,
            request.end_unix_ns if unix else task.end_ns or max(request.end_ns, task.stop_ns), about, unix=unix,
        )
    )  # fmt: skip


def add_own(drawing: Drawing) -> None:
    """The span of a request that its framework made none for, from its task's first step until the response is written."""
    request, own = drawing.request, drawing.request.own_span
    if own is not None:
        drawing.made.append(
            SpanSpec(
                request.name, request.trace_id, request.server_span_id, own.parent_id, own.start_ns, own.end_ns or request.end_ns,
                AboutRequest(own.attributes), own.error, kind=own.kind,
            )
        )  # fmt: skip


def within(request: Request) -> Iterator[SpanSpec]:
    """The spans that the framework would have made inside its own. Jaeger has them as they are."""
    for one in request.own_span.within if request.own_span is not None else ():
        error = one.attributes.get("error.type", "_OTHER") if one.error else ""
        yield SpanSpec(
            one.name, request.trace_id, one.span_id, one.parent_id, one.start_ns, one.end_ns,
            AboutRequest(one.attributes), error,
        )  # fmt: skip


def _root(drawing: Drawing) -> Root:
    request, decision = drawing.request, drawing.request.decision
    signals = list(drawing.signals)
    if request.loop is not None:
        signals.append(s.SIGNAL_LOOP if request.loop.selects else s.SIGNAL_LOOP_CALLS)
    chosen = decision if decision is not None and decision.why != WHY_ALL else None
    return Root(
        drawing.resolution_ns,
        signals,
        chosen,
        drawing.lost,
        int(request.lost),
        request.ingress or {},
        request.unfinished,
        drawing.cpus,
    )


def add_job(drawing: Drawing, job: Job, small: dict[str, int]) -> None:
    """The spans of a job: its own, the wait for its pool, and the run of its function."""
    request = drawing.request
    ended_ns = job.end_ns or max(request.end_ns, job.start_ns, job.born_ns)
    started_ns = min(max(job.start_ns, job.born_ns), ended_ns) if job.start_ns else ended_ns
    for segment in queue_segments(job, started_ns, drawing.past.pools.full_until):
        add_queue_segment(drawing, job, segment, small)
    if job.start_ns and job.passage is not None:
        add_passage(drawing, job, job.passage, started_ns, ended_ns)
    elif job.start_ns:
        _add_run(drawing, job, started_ns, ended_ns)
    about = AboutJob(
        job.span_id, _spawner(drawing, job), small, _place_of(job),
        job.outcome if job.start_ns else s.OUTCOME_CANCELLED, job.pool, job.pool_age_ns, job.limit_ns, items=job.items,
    )  # fmt: skip
    drawing.made.append(
        SpanSpec(
            f"{s.JOB_SPAN_PREFIX}{job.name}", request.trace_id, job.span_id, drawing.parent_of(job),
            job.born_ns, max(job.resume_ns, ended_ns), about,
        )
    )  # fmt: skip


def _add_run(drawing: Drawing, job: Job, started_ns: int, ended_ns: int) -> None:
    cpu_ns = min(max(job.cpu_ns, 0), ended_ns - started_ns)
    off_cpu = OffCpu(cpu_ns)
    if job.end_ns:
        run_queue_ns = drawing.queued_beside(job, started_ns, ended_ns, job.run_queue_ns)
        off_cpu = running(drawing, job.code or job.name, job, started_ns, ended_ns, cpu_ns, run_queue_ns)
        if cpu_ns >= _COMPUTED_NS or off_cpu.called:
            off_cpu = _for_whom(job, off_cpu, started_ns, ended_ns)
    about = AboutRun(
        job.span_id, off_cpu, _place_of(job), _small_phases(drawing, job),
        (job.thread_id, job.thread_name),
    )  # fmt: skip
    drawing.made.append(
        SpanSpec(job.name, drawing.request.trace_id, job.run_id, job.span_id, started_ns, ended_ns, about)
    )


def _for_whom(job: Job, off_cpu: OffCpu, started_ns: int, ended_ns: int) -> OffCpu:
    """Names the user's code that waits for what only a library computed, and for that in which it only slept."""
    known = [one.place for one in off_cpu.ran] if off_cpu.ran else [_place_of(job)]
    computes = max(job.cpu_ns, 0) >= _COMPUTED_NS and _are_librarys(known)
    sleeps = bool(off_cpu.called) and _are_librarys([one.place for one in off_cpu.called])
    around = site_around(job.spawner, started_ns, ended_ns) if computes or sleeps else None
    if around is None:
        return off_cpu
    ran = (Ran(around.user, off_cpu.on_cpu_ns or 0),) if computes else off_cpu.ran
    slept_ns = sum(one.ns for one in off_cpu.called)
    return off_cpu._replace(ran=ran, called=(Ran(around.user, slept_ns),) if sleeps else off_cpu.called)


def _place_of(job: Job) -> Place | None:
    """The job's function; of one of Django's middlewares of the user's, which runs the rest of the application, too, what
    answers the request."""
    code, answers = job.code, job.request.answers
    if code is not None and answers is not None and not is_library(answers.co_filename):
        code = answers if is_middleware_of_django(code) else code
    return place_of(code)


def _are_librarys(places: Sequence[Place | None]) -> bool:
    return all(one is None or is_library(one.file) for one in places)


def _spawner(drawing: Drawing, activity: Activity) -> Spawner | None:
    spawner = drawing.kept_or_spawner(activity.spawner)
    if spawner is None:
        return None
    return Spawner(spawner.span_id, spawner.request.trace_id if spawner.request is not drawing.request else 0)


def _small_phases(drawing: Drawing, activity: Activity) -> Mapping[str, int]:
    own, settled = activity.small_phases, drawing.small_phases.get(id(activity))
    return Counter(own) + Counter(settled) if own or settled else {}
