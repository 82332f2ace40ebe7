"""A span as typed values; `attributes.py` converts them to attributes as the last step."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final, Literal, NamedTuple, TypeAlias

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place, Site
from whywait.tracer.offcpu.explanation import UNSEEN, OffCpu
from whywait.tracer.offcpu.gil_holders import Ran
from whywait.tracer.records.decision import Decision
from whywait.tracer.records.loop import Sample
from whywait.tracer.records.request import Collector, Pool
from whywait.tracer.spans.pools.shares import Share

Kind = Literal["internal", "producer", "consumer", "server"]  # the span kinds of OpenTelemetry that are given
_EDGES = (s.WAIT_AWAIT, s.WAIT_POOL_SHUTDOWN)


class Blocker(NamedTuple):
    """A blocker of a wait, and its share."""

    name: str
    place: Place | None
    trace_id: int  # of the request it worked for, 0: none
    span_id: int
    ns: int
    times: int = 1
    thread_name: str = ""


class Occupants(NamedTuple):
    """The occupants of the pool or device: the chief ones, longest first, and the share of all others."""

    named: Sequence[Share]
    other_ns: int


_NOBODY: Final = Occupants((), 0)


class Spawner(NamedTuple):
    """The activity that created a task or job."""

    span_id: int
    trace_id: int = 0  # 0: that of the span


class Waker(NamedTuple):
    """The waker of a wait."""

    kind: str  # schema.WAKER_*
    name: str = ""
    span_id: int = 0  # 0: no activity
    trace_id: int = 0  # 0: that of the span


class Lock(NamedTuple):
    """The lock that a thread waited for."""

    kind: str
    made_at: Place | None
    waiters: int
    holds: int


class Root(NamedTuple):
    """The whole request's values on its root task."""

    resolution_ns: int
    signals: Sequence[str] = ()
    decision: Decision | None = None  # None where all requests are kept
    lost: Mapping[str, int] = {}
    dropped: int = 0  # records of this request
    window: Mapping[str, str | int | bool] = {}  # schema.INGRESS_*, EGRESS_*
    unfinished: bool = False
    cpus: int = 0  # on how many the process may run; 0: not read


class AboutTask(NamedTuple):
    """A task; `activity` is its own span here, and on other spans that of their task or job."""

    activity: int
    spawner: Spawner | None = None
    small: Mapping[str, int] = {}  # waits without a span of their own, by kind
    place: Place | None = None
    outcome: str = "ok"
    cpu_ns: int = 0
    run_ns: int = 0
    steps: int = 0
    phases: Mapping[str, int] = {}  # those without a span of their own, by word
    root: Root | None = None  # set on the task that is the request
    turned_ns: int = 0  # of `cpu_ns`: the loop's turns between steps, where it only yielded
    ran: Ran | None = None  # where that was
    kind: str = s.KIND_TASK


class AboutJob(NamedTuple):
    """A job, from submit until its waiter continues."""

    activity: int
    spawner: Spawner | None = None
    small: Mapping[str, int] = {}
    place: Place | None = None
    outcome: str = "ok"
    pool: Pool | None = None
    pool_age_ns: int = -1  # -1: not known
    limit_ns: int = 0  # of a time limit that cannot end it; 0: none
    jobs: int = 1  # like ones that it stands for, with their sums
    items: int = 0  # that it worked on, 0: not known
    kind: str = s.KIND_JOB


class AboutRun(NamedTuple):
    """The job's function on its worker."""

    activity: int
    off_cpu: OffCpu = UNSEEN
    place: Place | None = None
    phases: Mapping[str, int] = {}
    thread: tuple[int, str] | None = None  # id and name; None: in another process
    worker: int = 0  # the id of that process, 0: not known
    kind: str = s.KIND_RUN


class AboutWait(NamedTuple):
    """A wait of an activity."""

    activity: int
    wait: str  # schema.WAIT_*
    off_cpu: OffCpu = UNSEEN
    site: Site | None = None
    pool: Pool | None = None
    waker: Waker | None = None
    blockers: Sequence[Blocker] = ()  # longest first
    blocker_count: int = 0
    collector: Collector | None = None
    occupants: Occupants | None = None
    lock: Lock | None = None
    handler: str = ""  # the logging handler around it
    device: str = ""
    initializer: tuple[str, int] | None = None  # of a worker: its name, and how long it ran
    starts_process: bool = False
    inferred: bool = False  # one of its ends was not observed
    around: int = 0  # the innermost span around it, if that is not its activity's
    task: str = ""  # of no request, whose wait it is a part of
    turns: int = 0  # such parts of one wait at its place
    lock_id: int = 0  # of a loop's lock or semaphore; 0: none, or not known
    kind: str = s.KIND_WAIT

    @property
    def followed_id(self) -> int:
        """The activity in which the critical path continues: the waker, not the releaser of a lock; else 0."""
        if self.waker is None or self.blockers or self.wait not in _EDGES:
            return 0
        return self.waker.span_id


def wait_name(kind: str) -> str:
    """The name of a wait's span, where it has no better one."""
    return "ready, not yet running" if kind == s.WAIT_RESUME else kind.replace("_", " ")


class AboutBlock(NamedTuple):
    """A stretch on the event loop."""

    activity: int = 0  # 0: outside any request
    off_cpu: OffCpu = UNSEEN
    sample: Sample | None = None
    signals: Sequence[str] | None = None  # if it is a trace of its own
    kind: str = s.KIND_BLOCK


class AboutPhase(NamedTuple):
    """A stretch of running under a name, or the life of a generator."""

    activity: int
    off_cpu: OffCpu = UNSEEN
    place: Place | None = None
    word: str = ""  # schema.PHASES, or a library's own
    phases: Mapping[str, int] = {}
    handler: str = ""
    thread_id: int = 0  # 0: the activity's own
    device: str = ""
    device_ns: int | None = None  # None: the device has no measurement
    inferred: bool = False  # its bounds are estimates
    transfer: str = ""  # schema.TRANSFER_*
    kind: str = s.KIND_PHASE  # "" for a life: it includes its consumer's time


class AboutRequest(NamedTuple):
    """The span of a request that its framework made none for."""

    values: Mapping[str, str | int]  # of the semantic conventions
    activity: int = 0
    kind: str = ""


class AboutLost(NamedTuple):
    """What a process lost until its end, by kind."""

    lost: Mapping[str, int]
    activity: int = 0
    kind: str = ""


ACTIVITIES: Final = (AboutTask, AboutJob)
About: TypeAlias = AboutTask | AboutJob | AboutRun | AboutWait | AboutBlock | AboutPhase | AboutRequest | AboutLost


class SpanSpec(NamedTuple):
    """A span to create; times are `perf_counter_ns` readings unless `unix` is set."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int
    start_ns: int
    end_ns: int
    about: About
    error: str = ""
    unix: bool = False
    # a child that exceeded its parent, by the time between readings of two clocks, would look like a sign of
    # skewed clocks
    not_after_unix_ns: int = 0
    kind: Kind = "internal"
    provisional: int = 0  # schema.PROVISIONAL

    @property
    def links(self) -> tuple[tuple[int, int], ...]:
        """The span of a late collector, or the span of another trace that blocked the wait or ended it."""
        about = self.about
        if not isinstance(about, AboutWait):
            return ()
        if about.collector is not None:
            found = about.collector
            return ((found.trace_id, found.span_id),) if found.trace_id else ()
        occupants = map(attrgetter("occupant"), (about.occupants or _NOBODY).named[:1])
        for one in (*occupants, about.waker, *about.blockers[:1]):
            if one is not None and one.trace_id not in (0, self.trace_id):
                return ((one.trace_id, one.span_id),)
        return ()
