"""What each thread does now, for which activity, and its latest readings. Hot; only `hotpath.thread_state` writes."""

import threading
from contextvars import ContextVar
from typing import Any

from whywait.tracer.host.code_location import Place
from whywait.tracer.host.cpu_meter import CpuMeter
from whywait.tracer.records.loop import Alive, Loop
from whywait.tracer.records.request import Activity, Job


class Worker:
    """A worker thread's record between two jobs."""

    __slots__ = ("cpu", "idle_since_ns", "initialized", "run_queue_ns", "thread")

    def __init__(self) -> None:
        self.cpu = CpuMeter()
        self.idle_since_ns = 0  # the end of its latest job; 0 before the first
        self.run_queue_ns: int | None = None  # read at that end
        self.initialized: tuple[str, int] | None = None  # the initializer that it ran, until its first job
        self.thread: threading.Thread | None = None  # this thread


class _Here(threading.local):
    current: Any = None  # an Activity, the Standing of a loop callback outside any, or None
    loop: Loop | None = None
    outer: Activity | None = None  # runs this thread's loop itself, and waits for it
    alive: Alive | None = None
    worker: Worker | None = None
    submitting: Job | None = None  # being handed to an executor by this thread
    opened: Activity | None = None  # root of a request that began in the callback that runs now
    phase: Any = None  # the innermost open call of an adapter on this thread
    queue_read_ns = 0  # when an adapter last read this thread's run-queue time, and that time
    queue_ns: int | None = None
    waiting = False  # in a timed wait: waits inside are part of it
    handler = ""  # the logging handler that runs
    handler_at: Place | None = None  # its `emit`, where it is the user's
    freed_ns = 0  # what ended the latest wait inside a timed wait


here = _Here()


ACTIVITY: ContextVar[Activity | None] = ContextVar("whywait_activity", default=None)


def current_activity() -> Activity | None:
    """Return the activity that runs on this thread now, if its request is still open."""
    current = here.current
    if isinstance(current, Activity) and current.request.open:
        return current
    return None
