"""A thread's own waits: whether one may begin, and how it is recorded.

Waits do not nest: a wait inside another one (the lock inside a queue's `get`) is part of the outer one, and
passes its end to it through `note_freed`.
"""

import queue
import sys
import threading
from types import FrameType
from typing import Final

from whywait.tracer.host.code_location import (
    Place,
    Site,
    callers_of,
    is_library,
    is_ours,
    library_call,
    pause_at,
    user_place,
)
from whywait.tracer.host.names.asked_address import asked_address
from whywait.tracer.host.otel_context import current_span_id
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath.waits import record_wait
from whywait.tracer.records.current import here
from whywait.tracer.records.lock_holds import Waited
from whywait.tracer.records.request import Activity, Job, Pool, Waker
from whywait.tracer.schema import STEP_PAUSE, WAIT_AWAIT, WAIT_LOGGING, WAIT_RESUME

KEPT_NS = 100_000  # shorter waits become no span: they are summed, and do not count towards the record limit
_LOOKED_AT: Final = 256  # of a request's activities, the latest
_FILES = {threading.__file__: "threading.", queue.__file__: "queue."}
_POOL_FILE = "/concurrent/futures/thread.py"


def waiter_here() -> Activity | None:
    """Return the activity that runs on this thread, unless it is in a timed wait already."""
    current = here.current
    if current is None or here.waiting or not isinstance(current, Activity):
        return None
    if current.end_ns or not current.request.open:
        return None
    if isinstance(current, Job) and not current.start_ns:
        return None  # the worker still takes the job: that is a wait already
    return current


def keep_wait(
    activity: Activity, kind: str, start_ns: int, cause_ns: int, end_ns: int, by: Waker, waited: Waited,
    pool: Pool | None = None, queue_before_ns: int | None = None,
) -> None:  # fmt: skip
    """Records a wait of the calling thread that has just ended; `queue_before_ns` is its time in the run queue
    before that, where it was read."""
    cause_ns = min(max(cause_ns, start_ns), end_ns)
    if here.handler:
        kind = WAIT_LOGGING
        waited = waited._replace(handler=here.handler)
    if end_ns - start_ns < KEPT_NS:
        short = activity.short_ns
        if short is None:
            short = activity.short_ns = {}
        short[kind] = short.get(kind, 0) + cause_ns - start_ns
        if cause_ns < end_ns:
            short[WAIT_RESUME] = short.get(WAIT_RESUME, 0) + end_ns - cause_ns
        return
    frame = sys._getframe(1)
    sleeper = frame.f_back if waited.what == "time.sleep" else None
    call, package, step, asking = library_call(frame)
    if sleeper is not None:
        step = pause_at(sleeper)
    address = "" if asking is None else asked_address(asking)
    site = Site(
        _user_site(activity, frame), waited.what, waited.what.partition(".")[0], call, package, step, address,
        callers_of(frame),
    )  # fmt: skip
    job = _looked_for(activity, site, start_ns, end_ns) if step == STEP_PAUSE else None
    if job is not None:  # what is left of the pause is all that it took
        done_ns = job.done_ns
        record_wait(
            activity, WAIT_AWAIT, min(start_ns, done_ns - 1), done_ns, done_ns, job, site, current_span_id(), True
        )
        start_ns = max(start_ns, done_ns)
    record_wait(
        activity, kind, start_ns, cause_ns, end_ns, by, site, current_span_id(), True, pool, waited, run_queue_ns(),
        queue_before_ns,
    )  # fmt: skip


def _looked_for(activity: Activity, site: Site, start_ns: int, end_ns: int) -> Job | None:
    """The last of the activity's own jobs, or of those that followed one, that ended in a pause of a loop, or after the
    pause before that, once the loop had looked: the loop looks for it."""
    latest: Job | None = None
    before_it = activity.waits[-1] if activity.waits else None
    if before_it is not None and before_it.site == site and before_it.end_ns < start_ns:
        start_ns = before_it.end_ns
    for one in activity.request.activities[:-_LOOKED_AT:-1]:
        if not isinstance(one, Job) or not max(start_ns, latest.done_ns if latest else 0) < one.done_ns < end_ns:
            continue
        before: Activity | None = one
        while before is not None and before is not activity:
            before = before.spawner
        if before is activity:
            latest = one
    return latest


def _user_site(activity: Activity, frame: FrameType) -> Place:
    place = user_place(frame)
    if place is None or (is_library(place.file) and place.file.endswith(_POOL_FILE)):
        return Place(activity.name or "?", "", 0)  # the job's function is a call that blocks
    return place


def called(frame: FrameType | None) -> tuple[str, FrameType | None]:
    """Return the function that waits, the outermost frame of `threading` and `queue` above the wait; and its caller."""
    what = "threading.Condition.wait"
    while frame is not None:
        prefix = _FILES.get(frame.f_code.co_filename)
        if prefix is not None:
            what = prefix + frame.f_code.co_qualname
        elif not is_ours(frame.f_code.co_filename):
            break
        frame = frame.f_back
    return what, frame
