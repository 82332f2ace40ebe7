"""What probes write down: requests, the activities that work for them, and where each thread stands.

Hot: these are filled while the host runs, by one thread at a time per activity. All times are
`perf_counter_ns` readings. Nothing here refers to the host's tasks, futures or arguments, so nothing
of the host's lives longer than it would without us.
"""

from collections import deque
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, NamedTuple, TypeAlias, Union

from whywait.tracer.host.code_location import Place, Site
from whywait.tracer.host.cpu_meter import CpuMeter
from whywait.tracer.records.decision import Decision
from whywait.tracer.records.ids import new_span_id

# a span costs tens of microseconds to make and write: one for a shorter wait would cost more than the wait
MIN_RESOLUTION_NS = 100_000
made = tuple.__new__  # of a named tuple whose fields are all given: its own way costs three times as much


class Hold(NamedTuple):
    """One hold of a lock, told at its release to those who wait; or what ended a wait for a signal."""

    end_ns: int
    place: Place | None  # where it was released, or the signal given
    trace_id: int
    span_id: int
    name: str
    thread_name: str


class Release(NamedTuple):
    """A task gave back what others were in line for; the first of them was woken meanwhile."""

    start_ns: int
    end_ns: int
    place: Place


class Waited(NamedTuple):
    """What a thread waited for inside the function it ran."""

    what: str  # "threading.Lock", "time.sleep"
    made_at: Place | None = None  # a lock
    holds: Sequence[Hold] = ()  # those that ended meanwhile, in order of time
    waiters: int = 0
    handler: str = ""  # the logging handler it was inside of
    end_seen: bool = True  # whether the moment that ended it is known apart from the return to Python
    # where that is not: how often the thread slept in a call that blocks once, its way back included, -1 where that
    # was not counted; None: it may block more than once
    sleeps: int | None = None


class Wait(NamedTuple):
    """An activity did not run from `start_ns` to `end_ns`.

    `cause_ns` is when `by` caused the wake-up; what follows it is the way back to running.
    """

    kind: str  # schema.WAIT_*
    start_ns: int
    cause_ns: int
    end_ns: int
    by: "Waker"
    site: Site | None
    parent_id: int  # innermost OpenTelemetry span, 0 = the activity's own
    thread: bool = False  # waited in a thread, not on the loop
    pool: "Pool | None" = None
    waited: Waited | None = None
    # a thread's time in the run queue so far, as the wait ended, and where it was read then, too, as it began
    queue_ns: int | None = None
    queue_before_ns: int | None = None


class Block(NamedTuple):
    """One uninterrupted stretch on the loop."""

    start_ns: int
    end_ns: int
    cpu_ns: int
    sample: "Sample | None"
    parent_id: int
    run_queue_ns: int | None = None  # where it was measured


class Phase(NamedTuple):
    """Running time under a name."""

    name: str
    span_id: int
    parent_id: int
    activity: "Activity"
    start_ns: int
    end_ns: int
    cpu_ns: int
    run_queue_ns: int | None
    place: Place | None
    error: str
    life: bool  # the life of a generator: spans its consumer's time too, owns none of it
    word: str = ""  # what kind of phase an adapter calls it (schema.PHASES, or a library's own word)
    small: "dict[str, int] | None" = None  # by word, ns: phases inside that were too short to be kept
    device: "DeviceCall | None" = None
    handler: str = ""  # a logging handler's stretch: blocked time in it is the handler's


class Sample(NamedTuple):
    """What the watchdog saw a long callback do."""

    place: Place
    syscall: str | None  # what the thread slept in, when it slept


class Mark:
    """A waker that is no activity: a timer, a socket, a thread nobody traced."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


TIMER = Mark("timer")
IO = Mark("io")
# data that was there when the loop came to look: it had come since the loop looked before, so the loop
# was busy for some of that time; the tracer takes it for all of it, and says that it was inferred
IO_LATE = Mark("io")
THREAD = Mark("thread")
Waker: TypeAlias = Union["Activity", Mark, CodeType, None]


class Activity:
    """One sequential thing that works for a request: a task (this class) or a `Job`."""

    __slots__ = (
        "blocks", "born_ns", "code", "cpu_ns", "done_ns", "end_ns", "name", "outcome", "parent_id", "releases", "request",
        "run_ns", "short_ns", "small_phases", "span_id", "spawner", "step_cpu_ns", "step_start_ns", "steps", "stop_ns",
        "task_key",
        "token_ns", "waits",
    )  # fmt: skip

    def __init__(self, request: "Request", spawner: "Activity | None", born_ns: int, parent_id: int) -> None:
        self.request = request
        self.spawner = spawner
        self.span_id = new_span_id()
        self.parent_id = parent_id
        self.born_ns = born_ns
        self.stop_ns = born_ns  # end of the latest step: a wait begins there
        self.end_ns = 0
        self.done_ns = 0  # when a job's function returned; wakes are dated from it
        self.task_key = 0
        self.token_ns = 0  # when the latest anyio token was had
        self.name = ""
        self.code: CodeType | None = None
        self.outcome = "ok"
        self.steps = 0
        self.run_ns = 0
        self.cpu_ns = 0
        self.step_start_ns = 0
        self.step_cpu_ns = 0
        self.waits: list[Wait] = []
        self.releases: deque[Release] | None = None  # stay when the request is told: others wait for them
        # most have neither, and what is made for each costs its collection, too
        self.short_ns: dict[str, int] | None = None  # waits too short to be kept one by one, by kind
        self.blocks: list[Block] | None = None
        self.small_phases: dict[str, int] | None = None  # by word, ns: what adapters saw and did not keep


class Collector(NamedTuple):
    """Who took a job's result late, working for another request or for none."""

    at_ns: int
    place: Place | None  # where it asked for the result
    trace_id: int  # of the request it worked for, 0: none
    span_id: int


class Job(Activity):
    """A function handed to an executor or a worker thread."""

    __slots__ = (
        "collector", "handover_cpu_ns", "handover_run_queue_ns", "idle_since_ns", "initialized", "passage",
        "pool", "pool_age_ns", "resume_ns", "run_id", "run_queue_ns", "start_ns", "thread_id", "thread_name",
    )  # fmt: skip

    def __init__(self, request: "Request", spawner: Activity, born_ns: int, parent_id: int) -> None:
        Activity.__init__(self, request, spawner, born_ns, parent_id)
        self.run_id = new_span_id()
        self.start_ns = 0
        self.resume_ns = 0  # when who waited for it went on, or its result was first asked for
        self.collector: Collector | None = None
        self.run_queue_ns: int | None = None
        self.thread_id = 0
        self.thread_name = ""
        self.pool: Pool | None = None
        self.pool_age_ns = 0
        self.initialized: tuple[str, int] | None = (
            None  # what its worker ran before its first job, and how long
        )
        self.passage: Any = (
            None  # its way through a pool of processes, a `whywait.tracer.records.process_job.Passage`
        )
        self.idle_since_ns = 0  # when the worker ended its job before; 0: this was its first
        self.handover_cpu_ns = 0
        self.handover_run_queue_ns: int | None = None


class Occupancy:
    """One job's hold on a worker, kept after the job is forgotten, to name who occupied a pool."""

    __slots__ = ("code", "end_ns", "name", "span_id", "start_ns", "thread_id", "trace_id")

    def __init__(self, name: str, trace_id: int, span_id: int, code: CodeType | None) -> None:
        self.name = name
        self.code = code
        self.thread_id = 0  # native
        self.trace_id = trace_id
        self.span_id = span_id
        self.start_ns = 0
        self.end_ns = 0


class DeviceLine:
    """A device that threads compete for, as far as its calls need it."""

    __slots__ = ("name", "occupancies")

    def __init__(self, name: str) -> None:
        self.name = name
        self.occupancies: deque[Occupancy] = deque(maxlen=8_192)


class DeviceCall(NamedTuple):
    """A call that made its thread wait for a device."""

    line: DeviceLine
    held: Occupancy
    worked_ns: "Callable[[], int | None] | None"  # asked later: how long the device itself says it worked


class Pool:
    """An executor or an anyio limiter, as far as its jobs need it."""

    __slots__ = ("id", "last_job", "made_at", "made_ns", "name", "occupancies", "of_processes", "size")

    def __init__(self, pool_id: int, name: str, size: int, made_ns: int, made_at: Place | None) -> None:
        self.id = pool_id
        self.name = name
        self.size = size
        self.made_ns = made_ns
        self.made_at = made_at
        self.of_processes = False
        self.occupancies: deque[Occupancy] = deque(maxlen=8_192)
        self.last_job: Job | None = None


class Request:
    """One request, or one piece of work outside any request that a root phase began."""

    __slots__ = (
        "activities",
        "decision",
        "end_ns",
        "end_unix_ns",
        "loop",
        "lost",
        "name",
        "open",
        "phases",
        "records_left",
        "root",
        "root_phase",
        "sampled_flags",
        "server_span_id",
        "start_ns",
        "start_unix_ns",
        "tasks",
        "thread_id",
        "trace_id",
        "trace_state",
    )  # fmt: skip

    def __init__(
        self,
        trace_id: int,
        server_span_id: int,
        sampled_flags: int,
        start_ns: int,
        budget: int,
        loop: "Loop | None" = None,
    ) -> None:
        self.trace_id = trace_id
        self.server_span_id = server_span_id
        self.sampled_flags = sampled_flags
        self.trace_state: Any = None
        self.name = ""
        self.start_ns = start_ns
        self.end_ns = 0
        self.start_unix_ns = 0  # of the SERVER span, whose wall time is the request's
        self.end_unix_ns = 0
        self.open = True
        self.decision: Decision | None = None  # whether it is kept, once it has ended
        self.lost = 0
        self.records_left = budget
        self.tasks: dict[int, Activity] = {}
        self.activities: list[Activity] = []
        self.phases: list[Phase] = []
        self.root_phase: Phase | None = None
        self.loop: Loop | None = loop  # of the thread on which it began
        self.thread_id = 0  # native, of the thread that does all of its own work; 0: it has a task
        self.root = Activity(self, None, start_ns, server_span_id)
        self.activities.append(self.root)

    def take(self) -> bool:
        """Whether one more record may be kept; counts the loss if not."""
        if self.records_left > 0:
            self.records_left -= 1
            return True
        self.lost += 1
        return False

    def release(self) -> None:
        """Drops what was recorded: somebody may hold on to an activity of this request for long."""
        for activity in self.activities:
            activity.waits = []
            activity.blocks = None
            activity.spawner = None
        self.activities = []
        self.phases = []
        self.tasks = {}


class Loop:
    """One event loop's recent past, kept per thread that runs one."""

    __slots__ = (
        "callbacks", "cpu", "ended_ns", "live", "looks", "native_id", "polled_ns", "run_queue_ns", "run_start_ns", "sample", "select_end_ns", "selects",
        "short_busy_ns", "short_code", "short_count", "short_end_ns", "short_longest_ns", "short_start_ns", "short_until_ns",
        "thread_id", "told_queue_ns",
    )  # fmt: skip

    def __init__(self, thread_id: int, native_id: int) -> None:
        self.thread_id = thread_id
        self.native_id = native_id
        self.run_start_ns = 0  # of the latest callback; see `running_since_ns`
        self.sample: tuple[int, Sample] | None = None  # (run_start_ns it was taken in, what was seen)
        self.select_end_ns = 0
        self.polled_ns = 0  # when data of this round could first have come: end of this select if it slept
        self.selects = False
        self.live = True  # until its session stops
        self.short_start_ns = self.short_end_ns = self.short_busy_ns = self.short_count = 0
        self.short_until_ns = 0  # after which this run is ended
        self.short_longest_ns = 0
        self.short_code: CodeType | None = None  # of the longest in this run
        self.callbacks: deque[Callback] = deque(maxlen=50_000)
        self.looks: deque[Look] = deque(maxlen=20_000)  # that took time
        self.run_queue_ns: int | None = None  # the latest reading on this thread
        self.cpu = CpuMeter()
        self.told_queue_ns = 0  # in the callback that runs now, asked of a request that ended in it
        self.ended_ns = 0  # the latest callback, where the time in between is not seen

    def running_since_ns(self) -> int:
        """When the callback that runs now began; 0 when none does."""
        start_ns = self.run_start_ns
        return start_ns if start_ns > self.short_end_ns else 0


class Look(NamedTuple):
    """A loop was in its selector. What it slept there, it slept for want of anything to do; with something
    to do it only looked, and what that took it waited for a CPU or the GIL."""

    start_ns: int
    end_ns: int
    run_queue_ns: int | None  # runnable without a CPU, where that is known
    slept: bool


class Callback(NamedTuple):
    """A loop callback long enough to be somebody's blocker, or a run of short ones taken together."""

    start_ns: int
    end_ns: int
    busy_ns: int
    calls: int
    trace_id: int
    span_id: int
    code: CodeType | None
    sample: Sample | None
    request: Request | None
    run_queue_ns: int | None = None  # of it, the loop's thread had no CPU; asked of long ones only


Stamp: TypeAlias = tuple[Waker, int]  # who made a callback ready, and when
# a loop callback outside any activity, while it runs: itself, and who scheduled it
Standing: TypeAlias = tuple[Any, Stamp]
