"""Turns a finished request's records into spans, as `schema.py` defines them. Pure."""

from collections.abc import Mapping, Sequence

from whywait.tracer.offcpu.thread_observer import Observed
from whywait.tracer.records.request import Activity, Job, Request
from whywait.tracer.spans.cooperative_pause import Pause, no_pause
from whywait.tracer.spans.jaeger.nesting import nested
from whywait.tracer.spans.past import Past
from whywait.tracer.spans.phase_tree import settle
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.run_spans import add_block, add_phase
from whywait.tracer.spans.span_spec import SpanSpec
from whywait.tracer.spans.sum_spans import add_stretch
from whywait.tracer.spans.task_and_job_spans import add_job, add_own, add_task, within
from whywait.tracer.spans.waits.wait_spans import add_wait


def request_spans(
    request: Request, past: Past, signals: Sequence[str], max_resolution_ns: int, lost: Mapping[str, int],
    observed: Observed | None = None, pause: Pause = no_pause, cpus: int = 0,
) -> list[SpanSpec]:  # fmt: skip
    """All spans of the request; the SERVER span only if its framework makes none. `pause` is called now and then."""
    drawing = Drawing(request, past, signals, max_resolution_ns, lost, observed, cpus)
    phases = settle(request.phases, drawing.resolution_ns)
    drawing.small_phases = phases.of_activity
    for activity in request.activities:
        if id(activity) in drawing.kept:
            _add_activity(drawing, activity, pause)
    for phase in phases.kept:
        if not phase.handler or phase.end_ns - phase.start_ns >= drawing.resolution_ns:
            add_phase(drawing, phase)
            pause()
    if request.root_phase is not None:
        add_phase(drawing, request.root_phase)
    add_own(drawing)
    return [*nested(drawing.made, pause), *within(request)]


def _add_activity(drawing: Drawing, activity: Activity, pause: Pause) -> None:
    small: dict[str, int] = dict(activity.short_ns or {})
    for wait in activity.waits:
        add_wait(drawing, activity, wait, small)
        pause()
    for stretch in activity.stretches or ():
        add_stretch(drawing, activity, stretch)
    for block in activity.blocks or ():
        add_block(drawing, activity, block)
    if isinstance(activity, Job):
        add_job(drawing, activity, small)
    else:
        add_task(drawing, activity, small)
    pause()
