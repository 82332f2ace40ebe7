"""The spans of jobs that were summed: each activity's like jobs are one job. Pure.

The sums are laid out as if the jobs had run one after another at the end of their stretch:

    stretch    |-------------------------------------------------------------|
    activity   |----its own work, in sum----|~~~~~~~~~await job~~~~~~~~~~|~~~|  the way back, in sum
    job                                     |--------------------------------|
      run                                            |-------------------|
"""

from whywait.tracer import schema as s
from whywait.tracer.offcpu.explanation import UNSEEN, OffCpu
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.job_sums import JobSums, Stretch
from whywait.tracer.records.request import Activity
from whywait.tracer.spans.blockers import place_of
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.span_spec import About, AboutJob, AboutRun, AboutWait, SpanSpec, Spawner, Waker, wait_name


def add_stretch(drawing: Drawing, activity: Activity, stretch: Stretch) -> None:
    end_ns = stretch.end_ns
    for sums in reversed(stretch.sums.values()):
        end_ns = _add_sums(drawing, activity, sums, end_ns)


def _add_sums(drawing: Drawing, activity: Activity, sums: JobSums, end_ns: int) -> int:
    """Add the spans of like jobs that end at `end_ns`, and return when they begin."""
    like, trace_id = sums.like, drawing.request.trace_id
    done_ns = end_ns - sums.resume_ns - sums.wakeup_ns
    start_ns = done_ns - sums.waited_ns
    handed_ns = start_ns + sums.queue_ns
    began_ns = handed_ns + sums.handover_ns

    def add(name: str, span_id: int, parent_id: int, from_ns: int, until_ns: int, about: About) -> None:
        if from_ns < until_ns:
            drawing.made.append(SpanSpec(name, trace_id, span_id, parent_id, from_ns, until_ns, about))

    def add_wait(kind: str, of: int, from_ns: int, until_ns: int) -> None:
        about = AboutWait(of, kind, UNSEEN, pool=like.pool, inferred=True)
        add(wait_name(kind), new_span_id(), sums.span_id, from_ns, until_ns, about)

    owner_id = drawing.own_parent(activity, 0)
    waker = Waker(s.WAKER_ACTIVITY, like.name, sums.span_id)
    awaited = AboutWait(activity.span_id, s.WAIT_AWAIT, UNSEEN, waker=waker, inferred=True)
    add(f"await {like.name}", new_span_id(), owner_id, start_ns, done_ns, awaited)
    small = {s.WAIT_POOL_QUEUE: sums.queue_ns, **sums.inside_ns}
    job = AboutJob(
        sums.span_id, Spawner(activity.span_id), small, place_of(like.code), pool=like.pool, jobs=sums.count
    )  # fmt: skip
    add(f"{s.JOB_SPAN_PREFIX}{like.name}", sums.span_id, owner_id, start_ns, end_ns, job)
    add_wait(s.WAIT_POOL_HANDOVER, sums.span_id, handed_ns, began_ns)
    off_cpu = OffCpu(min(sums.cpu_ns, done_ns - began_ns), sums.run_queue_ns)
    run = AboutRun(sums.span_id, off_cpu, place_of(like.code), thread=sums.thread)
    add(like.name, sums.run_id, sums.span_id, began_ns, done_ns, run)
    add_wait(s.WAIT_LOOP_WAKEUP, activity.span_id, done_ns, done_ns + sums.wakeup_ns)
    add_wait(s.WAIT_RESUME, activity.span_id, done_ns + sums.wakeup_ns, end_ns)
    return start_ns
