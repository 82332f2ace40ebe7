"""The closed set of causes, one record each: rules, words, colours, tables and dashboards derive from it. `python -m
benchmarks.derived` writes the table of docs/reference/causes.md and a list of analysis/live/grafana.json from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from whywait.tracer import schema


class Cause(StrEnum):
    """Why an instant of a request's wall time passed. Every instant has exactly one."""

    COMPUTE = "compute"
    GIL_WAIT = "gil_wait"
    CPU_WAIT = "cpu_wait"
    LOCK_WAIT = "lock_wait"
    LOGGING_WAIT = "logging_wait"
    BLOCKING_IO = "blocking_io"
    GC_PAUSE = "gc_pause"
    POOL_QUEUE = "pool_queue"
    POOL_STARTUP = "pool_startup"
    POOL_SHUTDOWN = "pool_shutdown"
    LIMITER_WAIT = "limiter_wait"
    CONNECTION_WAIT = "connection_wait"
    LOOP_BUSY = "loop_busy"
    LOOP_WAKEUP = "loop_wakeup"
    COLLECT_ORDER = "collect_order"
    AWAIT_IO = "await_io"
    REQUEST_IO = "request_io"
    INGRESS_WAIT = "ingress_wait"
    GPU_QUEUE = "gpu_queue"
    GPU_COPY = "gpu_copy"
    GPU_COMPUTE = "gpu_compute"
    UNEXPLAINED = "unexplained"

    @property
    def info(self) -> "CauseInfo":
        return INFO[self]


class Evidence(StrEnum):
    """How an amount is known."""

    OBSERVED = "observed"  # both ends timed
    SAMPLED = "sampled"  # from state samples, with its standard error
    INFERRED = "inferred"  # by rule


class Culprit(StrEnum):
    """Which attributes of a wait name its culprit."""

    NONE = "none"
    OCCUPANTS = "occupants"  # what occupied the pool or the device
    BLOCKER = "blocker"  # what ran first
    POOL = "pool"  # the pool itself
    AWAITED = "awaited"  # the holder, else what ended the wait, else what was awaited
    HOLDER = "holder"  # the lock's holder, else the lock
    HANDLER = "handler"  # the holder of the handler's lock, else the handler
    CALLER = "caller"  # the thread that the call waited for, else the function that made it


@dataclass(frozen=True, slots=True)
class CauseInfo:
    """Everything that belongs to one cause."""

    meaning: str  # "the request was ..."
    phrase: str  # for a sentence: "495 ms (61%) <phrase>"
    remedy: str  # what to change, unless a situation calls for another remedy
    colours: tuple[str, str]  # for light and dark pages; a label always goes with them
    waits: Mapping[str, str] = field(default_factory=dict)  # kind of wait -> template of its detail
    culprit: Culprit = Culprit.NONE  # of its waits
    is_reason: bool = True  # False: no verdict names it as a reason; computing is one where its function is known
    has_culprit: bool = True  # False: the named code delayed only its own request
    by: str = "by"  # what a sentence says before the culprit
    computes: bool = False  # on a CPU or a device
    detail_adds: bool = True  # False: the detail repeats the culprit
    says_culprit: bool = True  # False: the detail or a situation names the culprit
    is_queue: bool = False  # a queue for a pool or a limit: one panel of the dashboard
    texture: str = ""  # on a page: eyes that lack a colour, too, tell those of one texture apart


INFO: Final[Mapping[Cause, CauseInfo]] = {
    Cause.COMPUTE: CauseInfo(
        "running on a CPU", "computing",
        "Do less: batch calls, cache, or use a faster algorithm.",
        ("#3f7d58", "#5fae80"), is_reason=False, by="in", computes=True, detail_adds=False,
    ),
    Cause.GIL_WAIT: CauseInfo(
        "runnable Python waiting for the GIL", "waiting for the GIL",
        "Run less Python at once: batch, use fewer threads, or move work to processes.",
        ("#8e44ad", "#b57edc"), by="blocked by", detail_adds=False,
    ),
    Cause.CPU_WAIT: CauseInfo(
        "runnable, in the run queue: another process or thread used the CPU, or a quota had run out", "waiting for a CPU",
        "Start fewer threads (also inside native libraries), raise the CPU quota, or move other load away.",
        ("#c98a00", "#f0b429"), detail_adds=False, says_culprit=False,
    ),
    Cause.LOCK_WAIT: CauseInfo(
        "blocked on a lock, semaphore, event or condition", "waiting for a lock",
        "Hold the lock for a shorter time (no I/O and no computing under it), or split it: one lock per object instead of one for all.",
        ("#7a4b2a", "#c08a63"), {schema.WAIT_LOCK: "{lock}"}, Culprit.HOLDER, by="blocked by", texture="/",
    ),
    Cause.LOGGING_WAIT: CauseInfo(
        "inside a logging handler or waiting for its lock", "in logging",
        "Log through a QueueHandler, and log less while a request runs.",
        ("#6b7a8f", "#9fb0c6"), {schema.WAIT_LOGGING: "logging handler {handler}"}, Culprit.HANDLER,
        by="blocked by",
    ),
    Cause.BLOCKING_IO: CauseInfo(
        "a thread blocked in a system call or a sleep", "in a blocking call",
        "On the event loop use the asynchronous counterpart, or move the call to a worker thread.",
        ("#00798c", "#3bb7cb"), {schema.WAIT_BLOCKING: "in {awaited}{inside}{where}{ended}"}, Culprit.CALLER, texture="/",
    ),
    Cause.GC_PAUSE: CauseInfo(
        "stopped by the garbage collector", "stopped by the garbage collector",
        "Create fewer objects at once (rows as tuples or arrays instead of a dict or model each; parts instead of all); "
        "gc.freeze() after start-up, which spares what the service keeps; raise gc.set_threshold.",
        ("#a23b72", "#e07bb0"), {schema.WAIT_GC: "garbage collection{collected}"},
        Culprit.CALLER, texture="/",
    ),
    Cause.POOL_QUEUE: CauseInfo(
        "submitted to a pool whose workers were all busy", "queued for a worker of a pool",
        "Submit fewer, larger jobs (one batch instead of one job per item); a larger pool only helps while "
        "CPUs are idle.",
        ("#d1495b", "#ff7d8d"), {schema.WAIT_POOL_QUEUE: "{pool}"}, Culprit.OCCUPANTS, by="behind", is_queue=True,
        texture="/",
    ),
    Cause.POOL_STARTUP: CauseInfo(
        "waiting for a pool's thread to start or initialise", "waiting for a pool's thread to start",
        "Make the pool once, at start-up, and warm it; not per request. Where it is made once: a larger max_tasks_per_child (or "
        "none), which ends a worker process after so many jobs.",
        ("#e07a5f", "#ffa68f"), {schema.WAIT_POOL_STARTUP: "{pool} starting a {worker}{initializer}"}, Culprit.POOL,
        is_queue=True, texture="|",
    ),
    Cause.POOL_SHUTDOWN: CauseInfo(
        "waiting for shutdown(wait=True), as at the end of `with ThreadPoolExecutor()`",
        "waiting for a pool to shut down",
        "Keep one pool for the life of the service.",
        ("#b56b7c", "#e5a0b1"), {schema.WAIT_POOL_SHUTDOWN: "{pool} shutting down"}, Culprit.POOL, is_queue=True,
        texture="/",
    ),
    Cause.LIMITER_WAIT: CauseInfo(
        "waiting for a token, semaphore, asyncio lock or queue", "waiting for a token, lock or queue",
        "Shorten what is done while it is held, do it for several at once (a batch), or raise the limit, where it is one.",
        ("#9d4edd", "#c99bff"), {schema.WAIT_LIMITER: "waiting for a token of {pool}"}, Culprit.AWAITED,
        by="behind", is_queue=True, texture="/",
    ),
    Cause.CONNECTION_WAIT: CauseInfo(
        "waiting for a connection of a client's or database's pool", "waiting for a connection",
        "Release connections sooner (no other work while one is open), or enlarge the pool, if the server accepts more.",
        ("#1b6e6a", "#4fc1b8"), {schema.WAIT_CONNECTION: "{connections}"}, Culprit.OCCUPANTS,
        by="while they were held in", is_queue=True, texture="|",
    ),
    Cause.LOOP_BUSY: CauseInfo(
        "ready to run, while the event loop ran something else", "ready, while the event loop ran something else",
        "Move the named code off the loop (to a thread where it waits or is native code, to a process where it computes in "
        "Python), or cut it into awaits. Where a transport reads (data_received), a library reads a large answer: ask for less at once.",
        ("#e4572e", "#ff8a66"), {schema.WAIT_LOOP_BUSY: "the loop ran {blocker}"}, Culprit.BLOCKER,
        by="blocked by", detail_adds=False,
    ),
    Cause.LOOP_WAKEUP: CauseInfo(
        "waiting for a thread to wake up: the event loop's, with a result ready, or a free worker's, with a job",
        "waiting for a thread to wake up",
        "Usually tens of microseconds; more of it means that the thread waits for a CPU or the GIL.",
        ("#f2a65a", "#ffc98f"), {schema.WAIT_LOOP_WAKEUP: "the loop had not woken up yet"}, texture="/",
    ),
    Cause.COLLECT_ORDER: CauseInfo(
        "finished, while the code that collects results handled others first", "waiting to be collected",
        "Collect with gather, or as results complete, and do not work between results.",
        ("#bc6c25", "#e5a568"), {schema.WAIT_COLLECT_ORDER: "the result was ready, {blocker} handled others first"},
        Culprit.BLOCKER, detail_adds=False, texture="-",
    ),
    Cause.AWAIT_IO: CauseInfo(
        "awaiting a socket, timer or subprocess", "awaiting I/O or a timer",
        "Make what is awaited shorter, keep its answers (a cache), or begin it sooner, beside what the request does before; and set a time "
        "limit.",
        ("#2e86ab", "#6ec1e4"), culprit=Culprit.AWAITED, has_culprit=False, says_culprit=False,
    ),
    Cause.REQUEST_IO: CauseInfo(
        "reading the request's body or sending the response", "reading the body or sending the response",
        "Use smaller bodies, compression, or a client that sends and reads faster; a proxy in front that buffers bodies keeps slow clients off.",
        ("#5c95c8", "#97c4ee"), culprit=Culprit.AWAITED, says_culprit=False, texture="/",
    ),
    Cause.INGRESS_WAIT: CauseInfo(
        "arrived, and not yet read by the server", "arrived and not yet read by the server",
        "Start more workers, or raise the server's limit of connections; where a proxy stamped the request, look at the queue before "
        "this server. What the loop does in C code is not seen (uvloop), as reading a large answer of a database: ask for less at once.",
        ("#35605a", "#7fb5ad"), {schema.WAIT_INGRESS: "arrived, not yet read by the server"}, texture="-",
    ),
    Cause.GPU_QUEUE: CauseInfo(
        "waiting for the GPU while others used it", "queued for the GPU",
        "Batch requests; one worker per GPU.",
        ("#4a5a23", "#9bb34f"), {schema.WAIT_GPU_QUEUE: "{device}"}, Culprit.OCCUPANTS, by="behind", texture="|",
    ),
    Cause.GPU_COPY: CauseInfo(
        "copying to or from the GPU", "copying to or from the GPU",
        "Keep data on the device, use pinned memory, batch.",
        ("#6a7f2d", "#b7cf63"), computes=True, texture="/",
    ),
    Cause.GPU_COMPUTE: CauseInfo(
        "computing on the GPU", "computing on the GPU",
        "Use a smaller model, a larger batch, or lower precision.",
        ("#8aa33b", "#d2e880"), computes=True, texture="|",
    ),
    Cause.UNEXPLAINED: CauseInfo(
        "in a state that no signal explains", "that could not be explained",
        "Mark the work with `whywait.phase`, so that its samples are counted together; the report says what this "
        "machine cannot observe.",
        ("#8c8c8c", "#a8a8a8"),
        {schema.WAIT_POOL_HANDOVER: "{pool}: a worker was free and had not begun (GIL or native wait: unknown)",
         schema.WAIT_RESUME: "ready to run, the loop ran nothing that was seen (GIL or CPU)"},
        is_reason=False, has_culprit=False, texture=".",
    ),
}  # fmt: skip

CAUSES: Final = tuple(Cause)
NUMBER: Final = {cause: number for number, cause in enumerate(CAUSES)}
NO_CULPRIT: Final = frozenset(cause for cause in CAUSES if not cause.info.has_culprit)
CAUSE_OF_WAIT: Final = {wait: cause for cause in CAUSES for wait in cause.info.waits}
