"""The records of requests and their activities, filled by one thread at a time per activity. Times are
`perf_counter_ns` readings. None refers to an object of the host, which lives no longer than without whywait."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType, MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, Union
from weakref import ref

from whywait.tracer.host.code_location import Place, Site
from whywait.tracer.host.native import native_core
from whywait.tracer.host.native.native_core import untracked
from whywait.tracer.host.tally import Tally
from whywait.tracer.records.background import BackgroundJob, BackgroundTask, OtherThread
from whywait.tracer.records.decision import Decision
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.job_sums import Stretch
from whywait.tracer.records.lock_holds import Hold, Release, Waited
from whywait.tracer.records.loop import Block, Loop
from whywait.tracer.records.occupancy import DeviceCall, Occupancy

# building and writing a span takes tens of microseconds: for a shorter wait it would cost more than the wait
MIN_RESOLUTION_NS = 100_000
_DETAILED = 300  # records of a request that are kept one by one, as far as its limit allows
made = tuple.__new__  # for named tuples with all fields: their own constructor takes three times as long


class Wait(NamedTuple):
    """A wait from `start_ns` to `end_ns`; at `cause_ns` `by` caused the wake-up, and the rest is the return to
    running."""

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
    # a thread's run-queue time so far at the wait's end, and, if it was read, at its beginning
    queue_ns: int | None = None
    queue_before_ns: int | None = None


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
    life: bool  # a generator's life: includes its consumer's time, owns none of it
    word: str = ""  # what kind of phase an adapter calls it (schema.PHASES, or a library's own word)
    small: "dict[str, int] | None" = None  # by word, ns: phases inside, too short to be kept
    device: "DeviceCall | None" = None
    handler: str = ""  # a logging handler's stretch: blocked time in it is the handler's


class Mark:
    """A waker that is no activity: a timer, a socket."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


TIMER = Mark("timer")
IO = Mark("io")
# data that was there when the loop polled: it had come since the loop polled before, so the loop
# was busy for some of that time; the tracer takes it for all of it, and marks it as inferred
IO_LATE = Mark("io")
IO_DATED = Mark("io")  # the kernel told when it came, whatever the loop did then
ARRIVAL = Mark("arrival")
NOBODY = Mark("nobody")  # the wait went on where its request was recorded
Waker: TypeAlias = Union["Activity", Mark, CodeType, BackgroundTask, BackgroundJob, OtherThread, Hold, None]


class Activity:
    """One sequential thing that works for a request: a task (this class) or a `Job`."""

    __slots__ = (
        "blocks", "born_ns", "code", "cpu_ns", "done_ns", "end_ns", "is_parent", "items", "loop", "name", "outcome", "parent_id", "releases", "request",
        "run_ns", "short_ns", "small_phases", "span_id", "spawner", "step_cpu_ns", "step_start_ns", "steps", "stop_ns",
        "stretches",
        "task_key",
        "turn_site", "waits",
    )  # fmt: skip

    def __init__(self, request: "Request", spawner: "Activity | None", born_ns: int, parent_id: int) -> None:
        self.request = request
        self.spawner = spawner
        self.is_parent = False  # another span may be below it, so it cannot be summed
        if spawner is not None:
            spawner.is_parent = True
        self.span_id = new_span_id()
        self.parent_id = parent_id
        self.born_ns = born_ns
        self.stop_ns = born_ns  # end of the latest step: a wait begins there
        self.end_ns = 0
        self.done_ns = 0  # when a job's function returned; wakes are dated from it
        self.task_key = 0
        self.loop: Loop | None = None  # on which the task runs, if its request began on another one
        self.name = ""
        self.code: CodeType | None = None
        self.outcome = "ok"
        self.steps = 0
        self.items = 0  # rows given to a library's predict
        self.run_ns = 0
        self.cpu_ns = 0
        self.step_start_ns = 0
        self.step_cpu_ns = 0
        self.waits: list[Wait] = []
        self.releases: deque[Release] | None = None  # they stay after the request's export: other requests need them
        # created on demand: most activities need neither
        self.stretches: list[Stretch] | None = None  # of short jobs, where there were too many to keep each
        self.short_ns: dict[str, int] | None = None  # waits too short to be kept one by one, by kind
        self.turn_site: Site | None = None  # where it only yielded, one turn of many
        self.blocks: list[Block] | None = None
        self.small_phases: dict[str, int] | None = None  # by word, ns: what adapters saw and did not keep


class Collector(NamedTuple):
    """The late collector of a job's result, working for another request or for none."""

    at_ns: int
    place: Place | None  # where it collected the result
    trace_id: int  # of the request it worked for, 0: none
    span_id: int


class Job(Activity):
    """A function handed to an executor or a worker thread."""

    __slots__ = (
        "collector", "handover_cpu_ns", "handover_run_queue_ns", "idle_since_ns", "initialized", "limit_ns",
        "passage", "pool", "pool_age_ns", "resume_ns", "run_id", "run_queue_ns", "start_ns", "thread_id", "thread_name",
    )  # fmt: skip

    def __init__(self, request: "Request", spawner: Activity, born_ns: int, parent_id: int) -> None:
        Activity.__init__(self, request, spawner, born_ns, parent_id)
        self.run_id = new_span_id()
        self.start_ns = 0
        self.resume_ns = 0  # when its waiter continued, or its result was first collected
        self.collector: Collector | None = None
        self.run_queue_ns: int | None = None
        self.thread_id = 0
        self.thread_name = ""
        self.pool: Pool | None = None
        self.pool_age_ns = 0
        self.limit_ns = 0  # from its submit, until a time limit around it fires that cannot end it; 0: none
        # what its worker ran before its first job, and how long
        self.initialized: tuple[str, int] | None = None
        # its way through a pool of processes, a `whywait.tracer.records.process_job.Passage`
        self.passage: Any = None
        self.idle_since_ns = 0  # when the worker ended its job before; 0: this was its first
        self.handover_cpu_ns = 0
        self.handover_run_queue_ns: int | None = None


@dataclass(slots=True, eq=False)
class Pool:
    """An executor, an anyio limiter, or a pool of connections."""

    id: int
    name: str
    size: int
    made_ns: int
    made_at: Place | None
    of_processes: bool = False
    knob: str = ""  # of connections: what makes it larger
    grows: bool = False  # of connections: others make them while one waits
    occupancies: deque[Occupancy] = field(default_factory=lambda: deque(maxlen=8_192))
    last_job: Job | None = None  # of a request that is open


class HostSpan(NamedTuple):
    """A span that the host's framework would have made; it is made with ours, of a kept request."""

    name: str
    span_id: int
    parent_id: int
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    error: bool


Said: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
"""A span's attributes, or what gives them once they are wanted."""


class Unit(NamedTuple):
    """What is known of a unit of work when it has ended."""

    name: str
    error: str = ""
    attributes: Said = MappingProxyType({})
    code: CodeType | None = None  # of the user's function, if it is known


class Server(Protocol):
    """Who opened a request at its server, and ends it."""

    def abandoned(self, end_ns: int) -> None:
        """The request's task has ended, and the server has not ended the request."""

    def so_far(self) -> Unit:
        """What is known of a request that is still open. It may raise what the host's objects raise."""


class OwnSpan:
    """The span of a request whose framework makes none: it is made with the others."""

    __slots__ = (
        "attributes",
        "describe",
        "end_ns",
        "error",
        "kind",
        "parent_id",
        "route",
        "stamped",
        "start_ns",
        "within",
    )

    def __init__(self, kind: Literal["server", "consumer"], start_ns: int, parent_id: int) -> None:
        self.kind: Literal["server", "consumer"] = kind
        self.start_ns = start_ns
        self.end_ns = 0  # 0: with the window, which the kernel may make longer
        self.parent_id = parent_id  # the caller's span, 0: none
        self.error = ""  # its type, or the status
        self.attributes: Mapping[str, Any] = {}
        self.describe: Callable[[], Mapping[str, Any]] = dict  # gives them; of a request that is dropped never asked
        self.route = ""  # where only a function of its framework knows it
        self.stamped: Any = None  # the current span for its framework, whose spans are made with ours
        self.within: list[HostSpan] = []

    def settle(self) -> None:
        """Its request is kept: take over what is known of it now."""
        try:
            self.attributes = self.describe()
        except Exception:  # what the host's server told is not as expected: that costs the attributes, not its request
            self.attributes = {}
        self.forget()

    def forget(self) -> None:
        """Let go of the host's objects that know of the request."""
        self.describe = dict


_NOBODYS: Any = None
_NOBODY: Final = Activity(_NOBODYS, None, 0, 0)
_UNCOUNTED: Final = Tally()
_let_go: Final = getattr(native_core.module, "let_go", None)


class Request:
    """One request, or other work with a root phase."""

    __slots__ = (
        "activities", "begun_ns", "decision", "end_ns", "end_unix_ns", "failed", "ingress", "loop", "lost", "name", "open",
        "own_span", "phases", "provisional", "records_left", "released_code", "root", "root_phase", "root_task", "sampled_flags",
        "server", "server_span_id", "span_open", "start_ns", "start_unix_ns", "sums_from", "tasks", "thread_id", "told_open",
        "trace_id", "trace_state", "unfinished",
    )  # fmt: skip

    def __init__(
        self, trace_id: int, server_span_id: int, sampled_flags: int, start_ns: int, budget: int,
        loop: "Loop | None" = None,
    ) -> None:  # fmt: skip
        self.trace_id = trace_id
        self.server_span_id = server_span_id
        self.sampled_flags = sampled_flags
        self.trace_state: Any = None
        self.name = ""
        self.start_ns = start_ns
        self.begun_ns = start_ns  # its task's first step
        self.end_ns = 0
        self.start_unix_ns = 0  # of the SERVER span, whose wall time is the request's
        self.end_unix_ns = 0
        self.open = True
        self.failed = False
        self.server: Server | None = None  # until it has ended the request
        self.root_task: ref[Any] | None = None  # the host's, of its root
        self.told_open = False  # exported while it went on, as another request
        self.unfinished = False  # that other one, or one that is open when its session or its loop ends
        self.provisional = 0  # of that other one: the span id of the root of the one that goes on
        self.own_span: OwnSpan | None = None
        self.span_open = False  # its SERVER span, made by others inside its window, has not ended
        self.ingress: dict[str, str | int | bool] | None = None  # schema.INGRESS_*, EGRESS_*: of a window that is known
        self.decision: Decision | None = None  # the decision, after its end
        self.lost = Tally()
        self.records_left = budget
        self.sums_from = budget - _DETAILED  # with fewer left, short jobs and waits are summed
        self.tasks: dict[int, Activity] = {}
        self.activities: list[Activity] = []
        self.phases: list[Phase] = []
        self.root_phase: Phase | None = None
        self.loop: Loop | None = loop  # of the thread on which it began
        self.thread_id = 0  # native, of the thread that does all of its own work; 0: it has a task
        self.root = Activity(self, None, start_ns, server_span_id)
        self.released_code: CodeType | None = None  # that of its root, once that has gone
        self.activities.append(self.root)

    @property
    def answers(self) -> CodeType | None:
        """The code of its root's function: of the user's that answers it, once it has ended and that is known."""
        return self.root.code or self.released_code

    def take(self) -> bool:
        """Return whether one more record may be kept; if not, count it as dropped."""
        if self.records_left > 0:
            self.records_left -= 1
            return True
        self.lost.add()
        return False

    def forget(self, job: Job) -> bool:
        """Remove a job, usually the latest; return whether it was there. Other threads may add and remove meanwhile."""
        activities = self.activities
        latest = activities.pop()  # each call is one step of the interpreter
        if latest is job:
            return True
        activities.append(latest)
        try:
            activities.remove(job)
        except ValueError:  # another thread looks at it right now
            return False
        return True

    def release(self) -> None:
        """Drop the records: a loop's past may refer to this request for a long time, and another request to an activity
        of it. Nothing of it stays that only the collector of garbage could free: the native core's records are hidden
        from it."""
        if _let_go is None or not _let_go(self.activities):
            for activity in self.activities:
                activity.waits = []
                activity.blocks = None
                activity.stretches = None
                activity.spawner = activity.loop = None
                if type(activity) is Job and activity.pool is not None and activity.pool.last_job is activity:
                    activity.pool.last_job = None
        self.activities, self.phases, self.tasks = untracked([]), untracked([]), untracked({})
        self.loop = self.root_task = self.ingress = self.server = None
        if self.own_span is not None:
            self.own_span.forget()
            self.own_span = None
        self.released_code = self.answers
        self.root, self.lost = _NOBODY, _UNCOUNTED
        untracked(self)


Stamp: TypeAlias = tuple[Waker, int]  # the waker of a callback, and when
# a running loop callback outside any activity, and the work that scheduled it
Standing: TypeAlias = tuple[Any, Stamp]
