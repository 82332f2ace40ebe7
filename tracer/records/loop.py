"""An event loop's recent past: its callbacks and its sleeps."""

from collections import deque
from types import CodeType
from typing import Any, NamedTuple, Protocol
from weakref import ref

from whywait.tracer.host.code_location import Place, is_library, is_middleware, place_of_code
from whywait.tracer.host.cpu_meter import CpuMeter
from whywait.tracer.records.background import BackgroundTask, BackgroundWait


class Sample(NamedTuple):
    """A sample of a long callback by the watchdog."""

    place: Place
    syscall: str | None  # the system call in which the thread slept, if it slept
    cpu_share: float | None = None  # of the time between the first look and the last; None after one look
    # of most looks: the library's function that the user's code called, and its package
    call: tuple[str, str] = ("", "")


class Block(NamedTuple):
    """One uninterrupted stretch on the loop."""

    start_ns: int
    end_ns: int
    cpu_ns: int
    sample: "Sample | None"
    parent_id: int
    run_queue_ns: int | None = None  # where it was measured


class Look(NamedTuple):
    """A loop was in its selector. It slept there if it was idle; otherwise it only polled, and the time was a wait
    for a CPU or the GIL."""

    start_ns: int
    end_ns: int
    run_queue_ns: int | None  # time in the run queue, if known
    slept: bool


class Named(Protocol):
    """The part of a request that a callback needs: `records.request` builds on this module."""

    name: str
    trace_id: int

    @property
    def answers(self) -> CodeType | None:
        """The code of its root's function."""


class Callback(NamedTuple):
    """A loop callback long enough to block a request, or a run of short ones as one."""

    start_ns: int
    end_ns: int
    busy_ns: int
    calls: int
    trace_id: int
    span_id: int
    code: CodeType | None
    sample: Sample | None
    request: Named | None  # the request it worked for
    run_queue_ns: int | None = None  # of the loop's thread; read for long ones only


def users_place(place: Place, request: Named | None) -> Place:
    """Of a library that ran outside the user's code, as when a response is serialized: the user's function that answers
    the request, where that is known; else, and of a middleware, the place itself."""
    answers = request.answers if request is not None else None
    if answers is None or not is_library(place.file) or is_library(answers.co_filename) or is_middleware(place.file):
        return place
    return place_of_code(answers)


class Alarm(Protocol):
    """Wakes the watchdog, while it rests, if a callback lasts."""

    def set(self) -> None:
        """The loop woke up."""

    def stop(self) -> None:
        """The loop goes to sleep."""


class Alive:
    """Lives as long as the thread that holds it in `here`."""

    __slots__ = ("__weakref__",)


class Loop:
    """One event loop's recent past, per thread."""

    __slots__ = (
        "_alive", "alarm", "background", "background_waits", "callbacks", "counted_queue_ns", "cpu", "ended_ns", "live", "looks",
        "native_id", "poll_ns", "polled_from_ns", "polled_ns", "run_queue_ns", "run_start_ns", "sample", "searched_ns",
        "select_end_ns", "selects", "short_busy_ns", "short_code", "short_count", "short_end_ns", "short_longest_ns",
        "short_owner", "short_start_ns", "short_until_ns", "thread_id", "woke_ns",
    )  # fmt: skip

    def __init__(self, thread_id: int, native_id: int, alive: Alive | None = None) -> None:
        self._alive = None if alive is None else ref(alive)
        self.thread_id = thread_id
        self.native_id = native_id
        self.run_start_ns = 0  # of the latest callback; see `running_since_ns`
        self.sample: tuple[int, Sample] | None = None  # (run_start_ns of the callback, its sample)
        self.select_end_ns = 0
        self.polled_ns = 0  # when data of this round could first have come: end of this select if it slept
        self.poll_ns = self.polled_from_ns = 0  # when the latest poll for data began, and the one before
        self.woke_ns = 0  # end of the latest sleep in a select
        self.selects = False
        self.alarm: Alarm | None = None  # while the watchdog rests
        self.live = True  # until its session stops
        self.short_start_ns = self.short_end_ns = self.short_busy_ns = self.short_count = 0
        self.short_until_ns = 0  # the latest end of this run
        self.short_longest_ns = 0
        self.short_code: CodeType | None = None  # of the longest in this run
        self.short_owner: Any = None  # an activity, where this run worked for one request; False: for several
        self.callbacks: deque[Callback] = deque(maxlen=50_000)
        self.looks: deque[Look] = deque(maxlen=20_000)  # selects that took time
        self.background: dict[int, BackgroundTask] = {}  # by the id of the task
        self.searched_ns = 0  # when those of tasks that no longer are were looked for, as it was full
        self.background_waits: deque[BackgroundWait] = deque(maxlen=4_096)
        self.run_queue_ns: int | None = None  # the latest reading on this thread
        self.cpu = CpuMeter()
        self.counted_queue_ns = 0  # in the callback that runs now, read for a request that ended in it
        self.ended_ns = 0  # end of the latest callback, if the time in between is not observed

    def running_since_ns(self) -> int:
        """When the current callback began; 0 without one."""
        start_ns = self.run_start_ns
        return start_ns if start_ns > self.short_end_ns else 0

    def thread_ended(self) -> bool:
        """Return whether the thread that ran this loop has ended."""
        return self._alive is not None and self._alive() is None
