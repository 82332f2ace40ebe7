"""The spans of an activity's waits, and of its return from each."""

from bisect import bisect_left
from functools import partial
from itertools import chain
from types import CodeType
from typing import Final

from whywait.tracer import schema as s
from whywait.tracer.offcpu.explanation import UNSEEN, OffCpu
from whywait.tracer.offcpu.thread_observer import Observed
from whywait.tracer.records.background import BackgroundJob, BackgroundTask, OtherThread
from whywait.tracer.records.job_sums import TURN, TURN_NS
from whywait.tracer.records.lock_holds import Hold, Release, Waited
from whywait.tracer.records.loop import Callback, Loop
from whywait.tracer.records.request import IO, IO_LATE, Activity, Job, Mark, Wait
from whywait.tracer.records.request import Waker as WokenBy
from whywait.tracer.spans.blockers import callback_blockers, occupants, ranked
from whywait.tracer.spans.past import ended_before, overlapping
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.segments import Segment, collection_segments, loop_segments, queued_in
from whywait.tracer.spans.span_spec import AboutWait, Blocker, Waker, wait_name
from whywait.tracer.spans.waits.background import Part, followed
from whywait.tracer.spans.waits.thread_wait import holders, lock_of, sharers, stood_at, thread_wait_name
from whywait.tracer.spans.waits.user_site import user_site
from whywait.tracer.spans.waits.wait_splitting import wait_parts

_NO_WAITED: Final = Waited("")  # of a wait of the loop
# waits whose kind has what nothing explains of the time until their activity runs
_UNSEEN_IS_OWN: Final = (s.WAIT_POOL_SHUTDOWN, s.WAIT_INGRESS)


def add_wait(drawing: Drawing, activity: Activity, wait: Wait, small: dict[str, int]) -> None:
    """The spans of one wait and of the return from it, or their parts of sums."""
    if wait.by is activity and not wait.thread and wait.end_ns - wait.start_ns < TURN_NS:
        small[TURN] = small.get(TURN, 0) + wait.end_ns - wait.start_ns
        return
    waited_ns = wait.cause_ns - wait.start_ns
    queued_ns = drawing.queued_in(activity, wait)
    drawing.note_queued(activity, wait.start_ns, wait.end_ns, queued_ns)
    # a loop that looks for a job meets its end in the last pause: that is what all pauses before were for
    is_end_of_polls = isinstance(wait.by, Job) and wait.site is not None and wait.site.step == s.STEP_PAUSE
    own, is_long = drawing.loop_of(activity), waited_ns >= drawing.resolution_ns or is_end_of_polls
    for part in _parts(drawing, activity, wait, own) if is_long else [Part(wait, own)]:
        one, loop = part.wait, part.loop
        if one.cause_ns > one.start_ns and is_long:
            _add_await(drawing, activity, part, queued_ns)
        elif waited_ns > 0:
            for kind, ns in _short_parts(one):
                small[kind] = small.get(kind, 0) + ns
        if one.cause_ns < one.end_ns and not one.thread and not drawing.is_decisive(activity):
            small[s.WAIT_LOOP_BUSY] = small.get(s.WAIT_LOOP_BUSY, 0) + one.end_ns - one.cause_ns
        elif one.cause_ns < one.end_ns:
            _add_return(drawing, activity, one, loop, small, queued_ns)


def _short_parts(wait: Wait) -> tuple[tuple[str, int], ...]:
    """The kinds of a wait that has no span, with ns each: of one for a job, until its worker was free, and until it began."""
    job, start_ns, end_ns = wait.by, wait.start_ns, wait.cause_ns
    if wait.kind == s.WAIT_AWAIT and job in (IO, IO_LATE):
        return ((s.SHORT_IO, end_ns - start_ns),)
    if wait.kind != s.WAIT_AWAIT or not isinstance(job, Job) or job.passage is not None:
        return ((wait.kind, end_ns - start_ns),)
    began_ns = min(max(job.start_ns, start_ns), end_ns)
    free_ns = min(max(job.idle_since_ns, start_ns), began_ns)
    parts = (s.WAIT_POOL_QUEUE, free_ns - start_ns), (s.WAIT_POOL_HANDOVER, began_ns - free_ns)
    return *parts, (wait.kind, end_ns - began_ns)


def _add_return(
    drawing: Drawing, activity: Activity, wait: Wait, loop: Loop | None, small: dict[str, int], queued_ns: int | None
) -> None:
    for segment in _resume_segments(drawing, wait, loop):
        if segment.end_ns - segment.start_ns >= drawing.resolution_ns:
            _add_resume_segment(drawing, activity, wait, segment, queued_ns)
        else:
            small[segment.kind] = small.get(segment.kind, 0) + segment.end_ns - segment.start_ns


def _parts(drawing: Drawing, activity: Activity, wait: Wait, own: Loop | None) -> list[Part]:
    """The wait, cut where its waker changes; not for a connection that others held, if they never held all of them:
    then it was for a new one."""
    grows = wait.pool if wait.kind == s.WAIT_CONNECTION and wait.pool is not None and wait.pool.grows else None
    if grows is not None and drawing.past.pools.full_until(grows, wait.start_ns, wait.cause_ns) == wait.start_ns:
        wait = wait._replace(kind=s.WAIT_AWAIT, pool=None)
    found = (followed(one, own, drawing.past, drawing.request) for one in wait_parts(activity, wait))
    return list(chain.from_iterable(found))


def _resume_segments(drawing: Drawing, wait: Wait, loop: Loop | None) -> list[Segment]:
    unseen = wait.kind if wait.kind in _UNSEEN_IS_OWN else s.WAIT_RESUME
    if wait.thread or loop is None:
        return [Segment(unseen, wait.cause_ns, wait.end_ns)]
    key = loop.thread_id
    callbacks = overlapping(drawing.past.callbacks.get(key, ()), wait.cause_ns, wait.end_ns)
    looks = overlapping(drawing.past.looks.get(key, ()), wait.cause_ns, wait.end_ns)
    segments = loop_segments(wait.cause_ns, wait.end_ns, callbacks, looks)
    if not isinstance(wait.by, Job):
        if unseen == s.WAIT_RESUME:
            return segments
        return [one._replace(kind=unseen) if one.kind == s.WAIT_RESUME else one for one in segments]
    handles_result = partial(_handles_result, drawing)
    return list(chain.from_iterable(collection_segments(one, handles_result) for one in segments))


def _handles_result(drawing: Drawing, callback: Callback) -> bool:
    """Whether it was a step of this request that was woken by a job's result."""
    if callback.request is not drawing.request:
        return False
    ends, by_job = drawing.steps_of(callback.span_id)
    before = bisect_left(ends, callback.end_ns) - 1  # the wait that the step put an end to
    return before >= 0 and by_job[before]


def _add_await(drawing: Drawing, activity: Activity, part: Part, queued_ns: int | None) -> None:
    wait = part.wait
    released = _release(wait)
    blockers, blocker_count = _blockers(drawing.observed, wait, released)
    waited, is_edge = wait.waited or _NO_WAITED, wait.kind not in (s.WAIT_COLLECT_ORDER, s.WAIT_GC)
    shared = None
    if wait.kind in (s.WAIT_LIMITER, s.WAIT_CONNECTION) and wait.pool is not None:
        # those of a job are its worker's; the release of a token names its other holders
        shared = occupants(*drawing.past.pools.shares(wait.pool, wait.start_ns, wait.cause_ns))
    about = AboutWait(
        activity.span_id, wait.kind, _off_cpu_in_wait(drawing, activity, part, queued_ns), user_site(activity, wait),
        wait.pool, _waker(drawing, wait.by) if is_edge else None, blockers, blocker_count,
        wait.by.collector if wait.kind == s.WAIT_COLLECT_ORDER and isinstance(wait.by, Job) else None,
        shared, lock_of(waited), waited.handler, inferred=not waited.end_seen or wait.kind == s.WAIT_INGRESS,
        around=wait.parent_id if wait.kind == s.WAIT_AWAIT and wait.parent_id != activity.parent_id else 0,
        task=part.task, turns=part.turns,
        lock_id=released.lock if released is not None else 0,
    )  # fmt: skip
    drawing.add(_name(wait), activity, wait.parent_id, wait.start_ns, wait.cause_ns, about)


def _name(wait: Wait) -> str:
    if wait.waited is not None:
        return thread_wait_name(wait)
    if wait.kind != s.WAIT_AWAIT:
        return wait_name(wait.kind)
    if wait.site is not None:
        return f"await {wait.site.user.function}"
    return "await" if not wait.thread else "blocked on result"


def _off_cpu_in_wait(drawing: Drawing, activity: Activity, part: Part, queued_ns: int | None) -> OffCpu:
    """The end of a call, or of a loop's poll, was observed only when Python ran again: part of it may have been a wait for
    the GIL."""
    observed, wait = drawing.observed, part.wait
    waited = wait.waited
    if wait.by in (IO, IO_LATE) and wait.kind == s.WAIT_AWAIT and part.loop is not None and observed is not None:
        ran = ended_before(drawing.past.callbacks.get(part.loop.thread_id, ()), wait.cause_ns)
        polled_ns = max(wait.start_ns, ran.end_ns if ran is not None else 0)
        return observed.polled(part.loop.native_id, polled_ns, wait.cause_ns)
    if isinstance(wait.by, OtherThread | BackgroundJob) and wait.kind == s.WAIT_AWAIT:
        return _of_another_thread(observed, wait.by, wait)
    if waited is None or waited.end_seen or observed is None:
        return UNSEEN
    thread_id = drawing.thread_of(activity)
    if waited.sleeps is None:
        return observed.blocked(waited.what, thread_id, wait.start_ns, wait.cause_ns)
    return observed.call(waited.what, thread_id, wait.start_ns, wait.cause_ns, waited.sleeps, queued_ns)


def _of_another_thread(observed: Observed | None, by: OtherThread | BackgroundJob, wait: Wait) -> OffCpu:
    """What the thread ran, or was kept from running, that ended a wait; while it slept it may have waited for this request."""
    stretch, cpu_ns, queued_ns = (wait.start_ns, wait.cause_ns), None, None
    if isinstance(by, BackgroundJob):
        part = by.within(*stretch)
        stretch, cpu_ns, queued_ns = (part.start_ns, part.end_ns), part.cpu_ns, part.queued_ns
    elif before := [cpu for at, cpu in by.marks if at <= wait.start_ns]:
        cpu_ns = min(by.marks[-1][1] - before[-1], wait.cause_ns - wait.start_ns)
    if observed is None:
        return OffCpu(cpu_ns, queued_ns)
    did = observed.running(s.WAKER_THREAD, by.thread_id, [stretch], cpu_ns, queued_ns)
    return did._replace(lock_ns=None, call_ns=None, call=None, called=())


def _waker(drawing: Drawing, by: WokenBy) -> Waker:
    if isinstance(by, Mark):
        return Waker(by.kind)
    if isinstance(by, BackgroundJob):
        return Waker(s.WAKER_JOB, by.name)
    if isinstance(by, OtherThread):
        return Waker(s.WAKER_THREAD, by.thread_name)
    if isinstance(by, Hold):
        return Waker(s.WAKER_NOBODY)
    code = by.code if isinstance(by, BackgroundTask) else by
    if isinstance(code, CodeType):
        return Waker(s.WAKER_UNKNOWN, code.co_qualname)
    if not isinstance(by, Activity):
        return Waker(s.WAKER_UNKNOWN)
    waker = drawing.kept_or_beginner(by)
    if waker is None:
        return Waker(s.WAKER_UNKNOWN)
    trace_id = waker.request.trace_id if waker.request is not drawing.request else 0
    return Waker(s.WAKER_ACTIVITY, waker.name, waker.span_id, trace_id)


def _blockers(observed: Observed | None, wait: Wait, released: Release | None) -> tuple[list[Blocker], int]:
    """The lock's holders, and the number of the chief one's holds; or the releaser of what was awaited. Of a thread of no
    pool where it stood meanwhile, as samples show, else where it ended the wait."""
    waited, by = wait.waited, wait.by
    if isinstance(by, OtherThread):
        stood = observed.stood(by.thread_id, wait.start_ns, wait.cause_ns) if observed is not None else None
        at, ns = stood or by.place, wait.cause_ns - wait.start_ns
        return [Blocker(at.function, at, 0, 0, ns, 1, by.thread_name)] if at is not None else [], 1
    # of an edge, who gave the signal is the waker
    if waited is not None and waited.waiters and wait.kind != s.WAIT_AWAIT:
        found = ranked(holders(wait.start_ns, wait.cause_ns, waited.holds))
        if found:
            return found, found[0].times
    return _releasers(wait, released), 0


def _releasers(wait: Wait, one: Release | None) -> list[Blocker]:
    by = wait.by
    if isinstance(by, Hold):  # who has it still
        return holders(wait.start_ns, wait.cause_ns, (by,))
    if one is None:
        return []
    times, holds = (wait.start_ns, wait.cause_ns), one.holds.copy()
    if held := ranked(sharers(*times, one.end_ns, holds) if one.shared else holders(*times, holds)):
        return held
    place = stood_at(one.stood, wait.start_ns, wait.cause_ns) or one.place
    ns = wait.cause_ns - wait.start_ns
    trace_id, span_id = (by.request.trace_id, by.span_id) if isinstance(by, Activity) else (0, 0)
    return [Blocker(place.function, place, trace_id, span_id, ns)]


def _release(wait: Wait) -> Release | None:
    """What ended a wait for a loop's lock or semaphore."""
    by = wait.by
    if (
        not isinstance(by, Activity | BackgroundTask)
        or not by.releases
        or wait.kind in (s.WAIT_COLLECT_ORDER, s.WAIT_GC)
    ):
        return None
    releases = reversed(by.releases.copy())
    return next((one for one in releases if one.start_ns <= wait.cause_ns <= one.end_ns), None)


def _add_resume_segment(
    drawing: Drawing, activity: Activity, wait: Wait, segment: Segment, queued_ns: int | None
) -> None:
    blockers = callback_blockers(segment.callbacks, drawing.request) if segment.callbacks else []
    about = AboutWait(
        activity.span_id, segment.kind, _off_cpu_on_way_back(drawing, activity, wait, segment, queued_ns),
        pool=wait.pool, blockers=blockers, blocker_count=sum(one.calls for one in segment.callbacks),
        inferred=wait.by is IO_LATE,
    )  # fmt: skip
    name = wait_name(segment.kind)
    if blockers:
        # trace stores count and list names: the number of callbacks is in BLOCKER_COUNT
        name = f"{name}: {blockers[0].name}"
    parent_id = wait.parent_id
    if isinstance(wait.by, Job) and wait.by.request is drawing.request:
        parent_id = wait.by.span_id
    drawing.add(name, activity, parent_id, segment.start_ns, segment.end_ns, about)


def _off_cpu_on_way_back(
    drawing: Drawing, activity: Activity, wait: Wait, segment: Segment, queued_ns: int | None
) -> OffCpu:
    observed, of_loop_ns = drawing.observed, queued_in(segment)
    if observed is None:
        return OffCpu(run_queue_ns=of_loop_ns)
    thread_id = drawing.thread_of(activity)
    if not wait.thread:
        return observed.ready(segment.kind, thread_id, segment.start_ns, segment.end_ns, wait.by, of_loop_ns)
    kind = segment.kind, wait.kind
    turn = thread_id, segment.start_ns, segment.end_ns
    return observed.way_back(kind, [turn], queued_ns=queued_ns, woken=True)
