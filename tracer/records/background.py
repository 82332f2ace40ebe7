"""Tasks and jobs of no request: a batcher, an engine, a consumer. A request that waits for one needs its latest waits."""

from collections import deque
from types import CodeType
from typing import Any, NamedTuple
from weakref import ref

from whywait.tracer.host.code_location import Place, Site

MOST_TASKS = 1_000  # of one loop, that are followed at a time
SEARCH_EVERY_NS = 100_000_000  # of a full table, for tasks that no longer are: a service may have more that live


class BackgroundTask:
    """A task of no request that has been suspended. It keeps no object of the host alive."""

    __slots__ = ("code", "loop", "releases", "stop_ns", "task")

    def __init__(self, task: Any, code: CodeType | None, loop: Any) -> None:
        self.task = ref(task)
        self.code = code
        self.loop = loop  # the `records.loop.Loop` on which it runs
        self.stop_ns = 0  # end of its latest step
        self.releases: deque[Any] | None = None  # `records.lock_holds.Release`, as of an `Activity`


class BackgroundWait(NamedTuple):
    """A task of no request did not run from `start_ns` to `end_ns`; `by` caused the wake-up at `cause_ns`."""

    start_ns: int
    end_ns: int
    cause_ns: int
    by: Any  # a `records.request.Waker`
    site: Site | None
    task: BackgroundTask


class OtherThread(NamedTuple):
    """A thread of no pool and no loop that ended a wait."""

    place: Place | None  # where it did, in the user's code
    thread_name: str
    thread_id: int  # native
    marks: tuple[tuple[int, int], ...] = ()  # when it began or ended waits, and its CPU time then; the last is this


class BackgroundJob(NamedTuple):
    """A job of no request that has ended, on a worker thread."""

    name: str
    code: CodeType | None
    start_ns: int
    end_ns: int
    cpu_ns: int
    queued_ns: int  # runnable, without a CPU
    thread_id: int  # native

    def within(self, start_ns: int, end_ns: int) -> "BackgroundJob":
        """Return its part in a stretch of time, with as large a part of its times."""
        start_ns, length_ns = max(self.start_ns, start_ns), max(self.end_ns - self.start_ns, 1)
        end_ns = max(min(self.end_ns, end_ns), start_ns)
        cpu_ns, queued_ns = ((end_ns - start_ns) * one // length_ns for one in (self.cpu_ns, self.queued_ns))
        return self._replace(start_ns=start_ns, end_ns=end_ns, cpu_ns=cpu_ns, queued_ns=queued_ns)
