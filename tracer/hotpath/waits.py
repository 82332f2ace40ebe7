"""The one writer of waits: every probe records a wait of an activity through this module."""

from whywait.tracer.host.code_location import Site
from whywait.tracer.host.otel_context import current_span_id
from whywait.tracer.hotpath.job_sums import is_summed
from whywait.tracer.records.background import BackgroundTask, BackgroundWait
from whywait.tracer.records.lock_holds import Waited
from whywait.tracer.records.loop import Loop
from whywait.tracer.records.request import Activity, Pool, Stamp, Wait, Waker, made
from whywait.tracer.schema import WAIT_AWAIT, WAIT_BLOCKING, WAIT_LOCK

_NAMED_LATER = (WAIT_AWAIT, WAIT_LOCK, WAIT_BLOCKING)


def record_wait(
    activity: Activity, kind: str, start_ns: int, cause_ns: int, end_ns: int, by: Waker, site: Site | None,
    parent_id: int, thread: bool = False, pool: Pool | None = None, waited: Waited | None = None,
    queue_ns: int | None = None, queue_before_ns: int | None = None,
) -> bool:  # fmt: skip
    """Return whether the wait was kept or summed: False counts it as lost, since its request has its fill of
    records."""
    request = activity.request
    if cause_ns < start_ns:
        cause_ns = start_ns
    elif cause_ns > end_ns:
        cause_ns = end_ns
    left = request.records_left
    if left < request.sums_from and is_summed(activity, kind, start_ns, cause_ns, end_ns, by, thread):
        return True
    if left <= 0:
        request.lost.add()
        return False
    request.records_left = left - 1  # as `take` does
    activity.waits.append(
        made(
            Wait,
            (
                kind, start_ns, cause_ns, end_ns, by, site, parent_id, thread, pool, waited, queue_ns,
                queue_before_ns,
            ),
        )
    )  # fmt: skip
    return True


def record_thread_wait(
    activity: Activity, kind: str, start_ns: int, cause_ns: int, end_ns: int, by: Waker = None,
    pool: Pool | None = None, site: Site | None = None,
) -> bool:  # fmt: skip
    """Records a wait of the calling thread; most have no place of their own in the code."""
    return record_wait(activity, kind, start_ns, cause_ns, end_ns, by, site, current_span_id(), thread=True, pool=pool)


def record_background_wait(loop: Loop, task: BackgroundTask, stamp: Stamp, end_ns: int, site: Site | None) -> None:
    """Records a wait of a task of no request, since its latest step; the oldest is dropped where there are many."""
    by, cause_ns = stamp
    start_ns = task.stop_ns
    cause_ns = min(max(cause_ns, start_ns), end_ns)
    loop.background_waits.append(made(BackgroundWait, (start_ns, end_ns, cause_ns, by, site, task)))


def name_waits(
    activity: Activity, since_ns: int, until_ns: int, kind: str, pool: Pool | None, waited: Waited | None = None
) -> None:
    """Set the kind and pool, or lock, of an activity's waits from `since_ns` on: these are known only at their end. A wait that
    goes on after `until_ns` is cut there."""
    waits = activity.waits
    for index in range(len(waits) - 1, -1, -1):
        wait = waits[index]
        if wait.start_ns < since_ns:
            return
        if wait.start_ns >= until_ns or wait.kind not in _NAMED_LATER:
            continue
        if wait.cause_ns > until_ns:
            waits.insert(index + 1, wait._replace(start_ns=until_ns))
            wait = wait._replace(cause_ns=until_ns, end_ns=until_ns)
        waits[index] = wait._replace(kind=kind, pool=pool, waited=waited)


def name_step(activity: Activity, since_ns: int, step: str) -> None:
    """Set the step of an activity's waits from `since_ns` on, where the functions awaited did not tell it."""
    waits = activity.waits
    for index in range(len(waits) - 1, -1, -1):
        wait = waits[index]
        if wait.start_ns < since_ns:
            return
        if wait.site is not None and not wait.site.step:
            waits[index] = wait._replace(site=wait.site._replace(step=step))
