"""Cuts a recorded wait where its waker changes. Pure."""

from whywait.tracer.records.request import Activity, Job, Mark, Request, Wait
from whywait.tracer.schema import WAIT_AWAIT, WAIT_COLLECT_ORDER


def wait_parts(activity: Activity, wait: Wait) -> list[Wait]:
    """Return the wait up to its cause as one or more waits without gaps, each with its waker.

    Only the last of them keeps the time after the cause.
    """
    if wait.kind != WAIT_AWAIT:
        return [wait]
    if isinstance(wait.by, Activity) and wait.by.request is activity.request:
        return _made_meanwhile(activity, wait)
    return _collected_late(activity, wait)


def _made_meanwhile(activity: Activity, wait: Wait) -> list[Wait]:
    """Cut at the creation of the task that ended the wait, if the waiter only lent its context to it.

    A callback of the waiter creates the task when a timer or a socket calls it: until then the wait was for
    those, and the waiter, whose context the new task has, created nothing.
    """
    waker = wait.by
    if not isinstance(waker, Activity) or isinstance(waker, Job) or waker.spawner is not activity:
        return [wait]
    born_ns = waker.born_ns
    if not (wait.start_ns < born_ns < wait.cause_ns and waker.waits):
        return [wait]
    return [wait._replace(cause_ns=born_ns, end_ns=born_ns, by=waker.waits[0].by), wait._replace(start_ns=born_ns)]


def _collected_late(activity: Activity, wait: Wait) -> list[Wait]:
    """Cut at the end of the request's own job, and where a collector that serves others collected its result.

    job        |------run-----|
    collector  ...others'.................|took it|
    waiter     |~~for the job~|~~~order~~~|~~~~~~~| ended by the collector
    """
    if isinstance(wait.by, Mark):
        return [wait]  # a timer or a socket: no collector
    job = _last_collected(activity.request, wait)
    if job is None or job.collector is None:
        return [wait]
    done_ns, taken_ns = max(job.done_ns, wait.start_ns), job.collector.at_ns
    parts = [
        wait._replace(cause_ns=done_ns, end_ns=done_ns, by=job),
        wait._replace(kind=WAIT_COLLECT_ORDER, start_ns=done_ns, cause_ns=taken_ns, end_ns=taken_ns, by=job, site=None),
        wait._replace(start_ns=taken_ns),
    ]
    return [part for part in parts if part.start_ns < part.cause_ns or part is parts[-1]]


def _last_collected(request: Request, wait: Wait) -> Job | None:
    taken = [
        (one.collector.at_ns, -index, one)
        for index, one in enumerate(request.activities)
        if isinstance(one, Job) and one.collector is not None and one.born_ns <= wait.cause_ns
    ]
    meanwhile = (one for one in taken if wait.start_ns < one[0] <= wait.cause_ns)
    return max(meanwhile, default=(0, 0, None))[2]
