"""Where each thread stands: what runs on it now, for whom, and what its latest readings were. Hot."""

import threading
from contextvars import ContextVar
from typing import Any

from whywait.tracer.records.request import Activity, Job, Loop, Waker


class _Here(threading.local):
    """Where this thread stands."""

    current: Any = None  # an Activity, the Standing of a loop callback outside any, or None
    loop: Loop | None = None
    submitting: Job | None = None  # being handed to an executor by this thread
    opened: Activity | None = None  # root of a request that began in the callback that runs now
    initialized: tuple[str, int] | None = None  # worker threads: the initializer that they ran, until a job
    phase: Any = None  # the innermost call that an adapter is timing on this thread
    # worker threads: the end of their latest job, and the clocks then
    idle: tuple[int, int, int | None] | None = None
    thread: threading.Thread | None = None  # that this is, once it has run a job
    queue_read_ns = 0  # when an adapter last asked for this thread's run queue, and what it was
    queue_ns: int | None = None
    waiting = False  # in a wait that is being timed: waits inside it are part of it
    handler = ""  # the logging handler that runs
    freed_ns = 0  # what ended the latest wait inside such a wait, and who
    freed_by: "Waker" = None


here = _Here()


ACTIVITY: ContextVar[Activity | None] = ContextVar("whywait_activity", default=None)


def forget_here() -> None:
    """In a forked child: what this thread was doing, it did for a request of the parent's."""
    here.__dict__.clear()
    ACTIVITY.set(None)


def current_activity() -> Activity | None:
    """The activity that runs on this thread now, if its request is still open."""
    current = here.current
    if isinstance(current, Activity) and current.request.open:
        return current
    return None
