"""The span contract between `tracer` (writes) and `analysis` (reads). It imports no other module.

Everything that attribution needs is in the spans, so a trace store may return them years later.

One *activity* is one sequential thing that worked for a request: an asyncio task or an executor
job. It waited during its wait spans, and ran at all other times.

    SERVER GET /rank                 |-----------------------------------------------|
      task handle (root)             |-----------------------------------------------|
        await rank (app.py:9)           |----------------------------|                  wait, ends at (1)
      job predict                       |-------------------------------------|         submit → resume
        pool queue                      |------------|                                  wait, of the job
        predict (run)                                |---------------|                  on a worker thread
        loop busy: block (app.py:30)                                 |--------|         wait, of the *task*
      phase "response"                                                           |--|
                                                                    (1)

Edges, recorded and never guessed:

* spawn: a `task` or `job` span names the activity that made it (`SPAWNED_BY`) at its own start;
* wake: a wait span of type `await` names the activity that ended it (`WAKER_SPAN_ID`, and
  `WAKER_TRACE_ID` where that is another trace). It ends when that activity *caused* the wake-up
  (job function returned, future set). What lay between that moment and the waiter's next
  instruction follows as further wait spans (`loop_busy`, `loop_wakeup`, ...) without a gap. Where a
  job's result was ready and its collector handled others first, that part is a `collect_order`.

Parents are for people and for Jaeger, whose critical path uses only them: attribution does not use them
(`tracer/spans/jaeger/nesting.py`). For Jaeger a span that ends as the next begins ends a microsecond or two earlier,
and a task or job without a waiter at its end is a CONSUMER below a PRODUCER; all other spans are INTERNAL.

Waits shorter than the request's resolution (`RESOLUTION_NS`) have no span; the activity span has their sums as
`whywait.small.<wait type>_ns`.

All durations are integer nanoseconds; their keys end in `_ns`.
"""

from typing import Final, Literal, NamedTuple

CONTRACT_VERSION: Final = 1
SCOPE: Final = "whywait"
PREFIX: Final = "whywait."

# --- what a span is -----------------------------------------------------------------------------
KIND: Final = "whywait.kind"
KIND_TASK: Final = "task"  # an asyncio task of the request; the root task spans the whole request
KIND_JOB: Final = "job"  # an executor job, from submit until its waiter resumes
# the beginnings of the names of what a job of a process pool is on its way by; its function's name follows
PICKLING, UNPICKLING = "pickling for ", "unpickling for "
UNPICKLING_THERE = "unpickling in the worker of "
SENDING, RECEIVING = "transfer to the worker of ", "transfer from the worker of "
TRANSFER: Final = "whywait.transfer"  # TRANSFER_*, on these phases: what is done there with the job's objects
TRANSFER_PICKLED, TRANSFER_PIPED = "pickled", "piped"
TASK_SPAN_PREFIX: Final = "task "
JOB_SPAN_PREFIX: Final = "job "  # of its span's name; what follows is the function's
KIND_RUN: Final = "run"  # the job's function on its worker thread (child of the job span)
KIND_WAIT: Final = "wait"  # an activity waited; WAIT is the kind
LOOKED_AT_NS: Final = 2_000_000  # a stretch that has lasted for so long may be met by a sample
BLOCK_SPAN_PREFIX: Final = "on loop: "  # of its span's name; what follows is the function that samples show
KIND_BLOCK: Final = "block"  # one long uninterrupted stretch on the event loop
KIND_PHASE: Final = "phase"  # a `traced` function or a `phase`; running time under a name
Kind = Literal["task", "job", "run", "wait", "block", "phase"]

# --- kinds of spans of the semantic conventions, as the analysis reads them ---------------------
SPAN_SERVER: Final = "server"
SPAN_CLIENT: Final = "client"

# --- on the root task span ----------------------------------------------------------------------
CONTRACT: Final = "whywait.contract"  # int, CONTRACT_VERSION
ROOT: Final = "whywait.root"  # bool, true on the task (or phase) that *is* the request
RESOLUTION_NS: Final = "whywait.resolution_ns"  # int, waits below it are sums only
SIGNALS: Final = "whywait.signals"  # string[], the observed signals (SIGNAL_*)
PROCESS_CPUS: Final = "whywait.process.cpus"  # int, on how many CPUs the process may run
INCOMPLETE: Final = "whywait.incomplete"  # string[], why the trace is incomplete; absent when complete
LOST: Final = "whywait.lost"  # int, records dropped and probes removed in this process so far
LOST_KINDS: Final = "whywait.lost.kinds"  # string[], the same by kind, such as "3 × request"
LOST_SPAN: Final = "whywait: what was lost"  # a process's last span, with both, if it lost anything: a trace of its own
WEIGHT: Final = "whywait.weight"  # float, how many requests this one represents; absent: 1
KEPT: Final = (
    "whywait.kept"  # why it was kept: "slow", "error", "share", "new", "unfinished"; absent where all are kept
)
# how the moment is known at which the request arrived, where the span begins; absent: it begins with the SERVER span
INGRESS_FROM: Final = "whywait.ingress.from"
INGRESS_PROXY: Final = "proxy"  # a header of the proxy: of another clock
INGRESS_KERNEL: Final = "kernel"  # when the socket last got data, by the kernel's clock ticks
INGRESS_READ: Final = "read"  # unknown: when the server read it
INGRESS_SKEW_NS: Final = "whywait.ingress.skew_ns"  # int, of a proxy's header that was not used: how far it is ahead
FIRST_BYTE_NS: Final = "whywait.first_byte_ns"  # int, of a response in several parts: from the window's beginning
EGRESS_NAGLE: Final = "whywait.egress.nagle"  # bool, true where Nagle's algorithm held the end of the response
# bool, true on a request that had not ended when it was recorded: its session, or its loop, ended, or it was open for
# long and went on. Its end is that moment, and the waker of its last wait WAKER_NOBODY where nothing known would end it
UNFINISHED: Final = "whywait.unfinished"
# on every span of such a request if it went on: the span id of its root. A root with this id replaces all of them
PROVISIONAL: Final = "whywait.provisional"
UNTESTED: Final = "whywait.untested"  # the interpreter, in words, if whywait is not tested with it; else absent
SIGNAL_LOOP: Final = "loop"  # ready, start and end of each loop callback, and the select window
SIGNAL_LOOP_CALLS: Final = "loop_calls"  # the same without the select window (uvloop)
SIGNAL_THREAD_CPU: Final = "thread_cpu"
SIGNAL_RUN_QUEUE: Final = "run_queue"
SIGNAL_EXECUTOR: Final = "executor"
SIGNAL_GC: Final = "gc"
SIGNAL_SAMPLER: Final = "sampler"  # samples of thread states: GIL_NS, LOCK_NS, CALL_NS
SIGNAL_HOLDER: Final = "gil_holder"
SIGNAL_NATIVE_CORE: Final = "native_core"  # recorded by the native core, not the Python one
SIGNAL_CPU_RIVALS: Final = "cpu_rivals"  # what used the CPUs while a thread waited for one: CPU_*

# --- on task, job, run, wait, block, phase ------------------------------------------------------
ACTIVITY: Final = "whywait.activity"  # 16 hex digits: span id of the owning task or job span
SPAWNED_BY: Final = "whywait.spawned_by"  # span id of the activity that created this task or job
SPAWNED_BY_TRACE: Final = "whywait.spawned_by.trace_id"  # only when it is another trace
CPU_NS: Final = "whywait.cpu_ns"  # CPU of the thread while this ran (task, run, block, phase)
RUN_QUEUE_NS: Final = "whywait.run_queue_ns"  # runnable, in the run queue (run and phases inside it)
# parts of the remaining time, by samples of the thread's state (also on the wait spans of an activity that is
# ready and does not run: resume, loop_wakeup, loop_busy, pool_handover)
GIL_NS: Final = "whywait.gil_ns"  # waited for the GIL: HOLDER_*
LOCK_NS: Final = "whywait.lock_ns"  # waited in another futex: a lock, or the threads of a native pool
CALL_NS: Final = "whywait.call_ns"  # blocked in another system call: CALL
CALL: Final = "whywait.call"  # the call most often seen, e.g. "recvfrom"
# on a run, of most samples of its sleep in calls: the library's function that the user's code called, and its package
CALL_OF: Final = "whywait.call.of"
CALL_PACKAGE: Final = "whywait.call.package"
SAMPLES: Final = "whywait.samples"  # int, samples of the thread meanwhile
# the standard error of GIL_NS, or of a wait whose end lies between two samples
ERROR_NS: Final = "whywait.error_ns"
STEPS: Final = "whywait.steps"  # int, times a task was resumed
RUN_NS: Final = "whywait.run_ns"  # task: wall time of all its steps on the loop
TURNED_NS: Final = "whywait.turned_ns"  # task with very many steps: of CPU_NS, between steps in which it only yielded
OUTCOME: Final = "whywait.outcome"  # "ok" | "error" | OUTCOME_CANCELLED (task, job)
OUTCOME_CANCELLED: Final = "cancelled"
# int, on a job: it stands for so many like ones, short and awaited one after another, in a request with too many to
# keep each. Its waits and its run are their sums, laid out one after another; absent: 1
COUNT: Final = "whywait.count"
SMALL_PREFIX: Final = "whywait.small."  # + one of SHORT_TYPES + "_ns" (task, job)
ITEMS: Final = "whywait.items"  # int, on a job: rows that it gave to a library's predict, where that could be seen

# --- on phases, and where phases too short to be spans were summed (task, run, phase) -------------
PHASE: Final = "whywait.phase"  # a word of PHASES, or of the library's own
PHASE_SMALL_PREFIX: Final = "whywait.phases."  # + the word + "_ns": sum of phases without a span of their own
DEVICE: Final = "whywait.device"  # the device that a call waited for: its time belongs to the device
DEVICE_NS: Final = "whywait.device_ns"  # the device's own measured time, if it has one
PHASE_PREDICT: Final = "predict"
PHASE_TRANSFORM: Final = "transform"
PHASE_FRAME: Final = "frame build"
PHASE_CONVERSION: Final = "conversion"
PHASE_TO_DEVICE: Final = "host-to-device"
PHASE_COMPUTE: Final = "compute"
PHASE_CLIENT: Final = "client"  # a client of a library is made: its TLS context, its pool
PHASE_FROM_DEVICE: Final = "device-to-host"
PHASES: Final = (
    PHASE_PREDICT, PHASE_TRANSFORM, PHASE_FRAME, PHASE_CONVERSION, PHASE_TO_DEVICE, PHASE_COMPUTE,
    PHASE_FROM_DEVICE,
)  # fmt: skip

# --- on wait spans ------------------------------------------------------------------------------
WAIT: Final = "whywait.wait"
WAIT_INGRESS: Final = "ingress_wait"  # arrived and not yet read by the server, with nothing seen running meanwhile
WAIT_AWAIT: Final = "await"  # an edge: follow the waker; FOR is what was awaited
WAIT_POOL_QUEUE: Final = "pool_queue"  # all workers were busy, with the occupants
WAIT_POOL_STARTUP: Final = "pool_startup"  # a thread had to be started
WAIT_POOL_SHUTDOWN: Final = "pool_shutdown"  # Executor.shutdown(wait=True); an edge if WAKER is set
WAIT_POOL_HANDOVER: Final = "pool_handover"  # a worker was free and had not begun: see CPU_NS and RUN_QUEUE_NS
WAIT_LIMITER: Final = "limiter_wait"  # an anyio token
WAIT_CONNECTION: Final = "connection_wait"  # a connection of a client's or database's pool, with the occupants
WAIT_LOOP_BUSY: Final = "loop_busy"  # ready, and the loop ran something else: BLOCKER_*
WAIT_LOOP_WAKEUP: Final = "loop_wakeup"  # ready, and the loop still slept in its selector
WAIT_RESUME: Final = "resume"  # ready, loop awake, nothing seen running: no signal explains it
# the awaited job has ended; its collector handled others first: BLOCKER_*
WAIT_COLLECT_ORDER: Final = "collect_order"
WAIT_GC: Final = "gc_pause"
WAIT_GPU_QUEUE: Final = "gpu_queue"  # other calls occupied the device first: DEVICE, occupants
# waits of a thread inside its function; FOR is what it waited for, code.* is where
WAIT_LOCK: Final = "lock_wait"  # LOCK_*: which; BLOCKER_*: its holder (or what ended the wait)
WAIT_LOGGING: Final = "logging_wait"  # inside a logging handler: HANDLER
WAIT_BLOCKING: Final = "blocking_io"  # a sleep, a system call, a queue, another thread's end
WAIT_TYPES: Final = (
    WAIT_AWAIT, WAIT_POOL_QUEUE, WAIT_POOL_STARTUP, WAIT_POOL_SHUTDOWN, WAIT_POOL_HANDOVER,
    WAIT_LIMITER, WAIT_LOOP_BUSY, WAIT_LOOP_WAKEUP, WAIT_RESUME, WAIT_GC, WAIT_LOCK, WAIT_LOGGING,
    WAIT_BLOCKING, WAIT_COLLECT_ORDER, WAIT_GPU_QUEUE, WAIT_CONNECTION, WAIT_INGRESS,
)  # fmt: skip
SHORT_IO: Final = "await.io"  # of SMALL_PREFIX: short waits of kind WAIT_AWAIT that I/O ended
SHORT_TYPES: Final = (*WAIT_TYPES, SHORT_IO)
# the waker of an `await`
WAKER_KIND: Final = "whywait.waker"  # one of the WAKER_* below
WAKER_ACTIVITY: Final = "activity"  # WAKER_SPAN_ID names a task, job or (other trace) phase span
WAKER_TIMER: Final = "timer"
WAKER_IO: Final = "io"
WAKER_THREAD: Final = "thread"  # of no pool and no loop; BLOCKER_*: where it ended the wait; CPU_NS, RAN_*: of it
WAKER_UNKNOWN: Final = "unknown"
WAKER_NOBODY: Final = "nobody"  # the wait went on when its request was recorded (UNFINISHED)
# where a task of no request, such as a batcher, ended a wait, the wait is cut into that task's own waits; code.* and
# FOR are then that task's, and these are wakers, too
WAKER_ARRIVAL: Final = "arrival"  # of something from another request: the task gathered, or had nothing to do
WAKER_JOB: Final = "job"  # of no request; code.* is its function
WAKER_SPAN_ID: Final = "whywait.waker.span_id"
WAKER_TRACE_ID: Final = "whywait.waker.trace_id"
WAKER_NAME: Final = "whywait.waker.name"
SEMAPHORE: Final = "Semaphore"  # in the name of what takes one: more than one may have it
FOR: Final = "whywait.for"  # innermost awaited function, e.g. "asyncio.locks.Semaphore.acquire"
FOR_ASKED_COLLECTION: Final = "gc.collect of "  # FOR begins so: the code called gc.collect itself
FOR_EGRESS: Final = "egress"  # FOR: the response was written, and the kernel had not sent all of it
FOR_MODULE: Final = "whywait.for.module"  # dotted module or file stem of that function
# the function of an installed library that the user's code (code.*) called, if one stands between both
FOR_CALL: Final = "whywait.for.call"  # on blocks, in most samples
FOR_SPAN: Final = "whywait.for.span_id"  # the innermost span around it, such as a client library's, in the same trace
# the import package of that function: "httpx"; on blocks, without it, the library's that ran there for the function that
# answers, outside its code
FOR_PACKAGE: Final = "whywait.for.package"
FOR_ADDRESS: Final = "whywait.for.address"  # whom an HTTP client asks: method and host, "GET rates:8080"
# the user's functions that called the one in which it waits, the nearest first, as "function (file)"
CALLERS: Final = "whywait.code.callers"
HOSTS_HERE: Final = ("localhost", "127.0.0.1", "[::1]")  # in it: this machine
FOR_TASK: Final = "whywait.for.task"  # part of a wait for a task of no request: that task's function; or OF_THREAD and
OF_THREAD: Final = "thread "  # the name of a thread, which ended others' waits before
FOR_TURNS: Final = "whywait.for.turns"  # how many parts of the wait that task spent at this place, if more than one
FOR_STEP: Final = (
    "whywait.for.step"  # STEP_*: it makes a connection, gets a body, or pauses; absent: an answer, or not known
)
STEP_LOOK_UP: Final = "name look-up"
STEP_CONNECT: Final = "connect"
STEP_TLS: Final = "TLS handshake"
STEPS_TO_CONNECT: Final = (STEP_LOOK_UP, STEP_CONNECT, STEP_TLS)
STEP_BODY: Final = "body of the answer"  # FOR_STEP: one call gets it, in as many waits as it has parts
STEP_PAUSE: Final = "a pause of a loop"  # FOR_STEP: a sleep in a `while` loop
STEP_PACE: Final = "a pause between parts"  # FOR_STEP: a sleep between what a loop sends
# kinds of packages: patterns for FOR_PACKAGE, from the start
# the clients among them only sleep to try again
PACKAGE_RETRIES: Final = (
    r"(?:tenacity|backoff|stamina|retry\w*|async_retrying|aiohttp_retry|httpx_retries"
    r"|requests|urllib3|niquests|botocore|boto3|openai|anthropic)$"
)
# which let through so many in a time
PACKAGE_PACES: Final = (
    r"(?:aiolimiter|asynciolimiter|asyncio_throttle|throttler|aiothrottle|pyrate_limiter|aiometer|ratelimit)$"
)
PACKAGE_DATABASE: Final = r"(?:sqlalchemy|asyncpg|psycopg|psycopg_pool|aiomysql|asyncmy|aiosqlite|oracledb|tortoise)$"
PACKAGE_SERVES: Final = (
    r"(?:fastapi|starlette|uvicorn|hypercorn|granian|websockets|wsproto|litestar|quart|sanic|aiohttp|django|flask|werkzeug|tornado"
    r"|a2wsgi|asgiref)$"
)
# these also where no socket wakes the waiter
PACKAGE_CLIENT: Final = r"(?:httpx|httpcore|aiohttp|niquests|grpc|openai|anthropic)$"
PACKAGE_IN_TURN: Final = r"(?:redis|valkey|coredis)\b"  # their server does one command after another
# kinds of awaited functions: patterns for FOR, or FOR_MODULE + "." + FOR, from the start
FOR_LIBRARY: Final = r"(?:asyncio|anyio|threading|queue)\."  # whose waits end by what others do, or by a time limit
# before Python 3.12 it awaits in a task of its own, which its time limit cancels
FOR_LIMITED: Final = r"asyncio\.tasks\.wait_for$"
# in slices, between which it looks for an interrupt: a slice's end by its timer is no time limit, and the call goes on
FOR_SLICED: Final = r"psycopg\.waiting\."
FOR_SLEEP: Final = r"(?:.*\.)?sleep(?:_until|_forever)?$"
# of a stream, one part follows from another
FOR_STREAM: Final = (
    r"(?:.*\.)?(?:recv\w*|receive\w*|read\w*|__anext__|anext|\w*Queue\.get|send|drain|a?iter\w*|listen)$"
)
FOR_SENSITIVE: Final = r"asgiref\.sync\.SyncToAsync\."
OF_WEBSOCKET: Final = r"WS .* connect$"  # of a span's name: a websocket is opened
OF_MESSAGES: Final = r"WS (?!.* connect$)"  # of a span's name: what is done with one message of a websocket
FOR_STEP_OF_GENERATOR: Final = r"(?:.*[ .])?_{0,2}next(?:__)?$"  # of a job's function: as of a streamed answer
FOR_THREAD_GIVES: Final = r"(?:threading\.(?:Event|Condition|Barrier)\.|queue\.)"  # what other threads give: no lock
_IN_SERVERS: Final = r"(?:uvicorn|hypercorn|starlette|daphne|granian)\.(?:.*\.)?"
# until the client has read enough of what was sent
FOR_REQUEST_SENT: Final = (
    rf"(?:{_IN_SERVERS}(?:send|drain|protocol_send)|aiohttp\.base_protocol\.BaseProtocol\._drain_helper)\b"
)
FOR_REQUEST_IO: Final = rf"(?:{_IN_SERVERS}(?:receive|body|stream|listen_for_disconnect|wait_for_disconnect|_read_data)\b|{FOR_REQUEST_SENT})"
# FOR_CALL: a server's own functions whose names inside are those of a client, too
FOR_REQUEST_CALLS: Final = (
    "BaseRequest.read", "BaseRequest.text", "BaseRequest.json", "BaseRequest.post", "BaseRequest.multipart",
    "StreamResponse.write", "StreamResponse.write_eof",
)  # fmt: skip
# FOR_PACKAGE + "." + FOR_CALL: it takes a connection down, and waits for the other side to do so, too
CALL_CLOSES: Final = r"(?!sqlalchemy\b)\w+\.(?:\w*Connection|\w*Client|ClientSession|Pool|StreamWriter)\.(?:a?close|wait_closed|disconnect)$"
# the same: Redis answers once another client has given something
CALL_FOR_NEWS: Final = r"(?:redis|valkey|coredis)\.\w+\.(?:b[lrz]\w+|xread\w*\(block=.*)$"
# in the module, function and call of a wait: a message to a websocket's client
FOR_WEBSOCKET_SEND: Final = r"(?i)(?:websocket|ws_stream).*(?:send|drain)"
FOR_DRAIN: Final = r"asyncio\.streams\.StreamWriter\.drain$"  # until the other side has read enough
FOR_THREAD_SIGNAL: Final = r"threading\."
FOR_THREAD_QUEUE: Final = r"queue\."
# a process that ends is waited for by asyncio, in a thread of its own before Python 3.12
FOR_PROCESS: Final = r"asyncio\.base_subprocess\.BaseSubprocessTransport\._wait$"
FOR_CHILD: Final = r"asyncio\.(?:base_)?subprocess\."  # what a child process does
# ways to tell that something has happened: a wait on one is named by what ended it
FOR_SIGNAL: Final = (
    r"(?:asyncio\.(?:locks|queues)\.|asyncio\.(?:Event|Condition|Barrier|Queue)\b"
    r"|anyio\.(?:.*\.)?(?:Condition|Event|ResourceGuard)\b)"
)
# of these, what nobody can take: who sets one gives to all
FOR_EVENT: Final = r"(?:asyncio\.(?:locks\.)?|anyio\.(?:.*\.)?)Event\b"
FOR_BARRIER: Final = r"asyncio\.locks\.Barrier\."  # who comes last ends the waits of all
# limits by themselves, which others can hold: its holder is the culprit, and did not do the waiter's work
FOR_HELD: Final = (
    r"(?:asyncio\.locks\.(?:Lock|Semaphore|BoundedSemaphore|_ContextManagerMixin)\.(?:acquire|__aenter__)"
    r"|anyio\.(?:.*\.)?(?:CapacityLimiter|Semaphore|Lock)\.(?:acquire|acquire_on_behalf_of|__aenter__))$"
)

EVIDENCE: Final = "whywait.evidence"  # EVIDENCE_INFERRED where the wait's bounds were not both seen
EVIDENCE_INFERRED: Final = "inferred"

# the culprit: the chief blocker of a loop_busy or collect_order wait, the chief holder of a lock, also of
# the loop's lock or semaphore that a task awaited
BLOCKER_FUNCTION: Final = "whywait.blocker.function"
BLOCKER_FILE: Final = "whywait.blocker.file"
BLOCKER_LINE: Final = "whywait.blocker.line"
BLOCKER_TRACE_ID: Final = "whywait.blocker.trace_id"
BLOCKER_SPAN_ID: Final = "whywait.blocker.span_id"
BLOCKER_COUNT: Final = "whywait.blocker.count"  # callbacks in this wait
BLOCKER_NS: Final = "whywait.blocker.ns"  # the chief one's part of the wait
# all of them where there were several, as parallel arrays, longest first (those beyond OCCUPANT_LIMIT by place)
BLOCKERS_NAMES: Final = "whywait.blockers.names"
BLOCKERS_FILES: Final = "whywait.blockers.files"  # "" where not known
BLOCKERS_LINES: Final = "whywait.blockers.lines"  # 0 where not known
BLOCKERS_TRACE_IDS: Final = "whywait.blockers.trace_ids"  # "" where it worked for no request
BLOCKERS_SPAN_IDS: Final = "whywait.blockers.span_ids"
BLOCKERS_NS: Final = "whywait.blockers.ns"
BLOCKER_THREAD: Final = "whywait.blocker.thread"  # name of the thread that held a lock

# which lock
LOCK_KIND: Final = "whywait.lock.kind"  # "Lock", "RLock", "Semaphore.acquire", "Event.wait", ...
LOCK_KIND_SUBMIT: Final = "concurrent.futures' global lock"  # which every submit of every thread pool acquires
LOCK_KIND_IMPORT: Final = "import lock of "  # and the module
LOCK_FILE: Final = "whywait.lock.file"  # where it was made
LOCK_LINE: Final = "whywait.lock.line"
LOCK_FUNCTION: Final = "whywait.lock.function"
LOCK_ID: Final = "whywait.lock.id"  # int, of a loop's lock or semaphore: its number in its process
LOCK_WAITERS: Final = "whywait.lock.waiters"  # threads of requests that waited when this wait began, this one included
LOCK_HOLDS: Final = "whywait.lock.holds"  # number of holds during the wait
# on phase spans: a call of a logging handler; on wait spans: the wait was inside one
HANDLER: Final = "whywait.logging.handler"  # class and name

# occupants of the pool or the device: parallel arrays, longest share first (where there are too many, the jobs of one
# name in one trace are one, and beyond OCCUPANT_LIMIT those of one name, under the longest of them); the shares of all
# occupants sum to the wait, and OCCUPANT_OTHER_NS is the part of those not named.
OCCUPANT_NAMES: Final = "whywait.occupant.names"
OCCUPANT_FILES: Final = (
    "whywait.occupant.files"  # where a connection was held most; of work of no request, its function
)
OCCUPANT_LINES: Final = "whywait.occupant.lines"  # 0 where not known
OCCUPANT_TRACE_IDS: Final = "whywait.occupant.trace_ids"  # "" where it belonged to no trace
OCCUPANT_SPAN_IDS: Final = "whywait.occupant.span_ids"
OCCUPANT_NS: Final = "whywait.occupant.ns"
OCCUPANT_OTHER_NS: Final = "whywait.occupant.other_ns"
OCCUPANT_LIMIT: Final = 16

# the holders of the GIL, by samples: parallel arrays, longest first; HOLDER_NS sums to at most GIL_NS
HOLDER_NAMES: Final = "whywait.holder.names"
HOLDER_FILES: Final = "whywait.holder.files"  # "" where not known
HOLDER_LINES: Final = "whywait.holder.lines"  # 0 where not known
HOLDER_THREADS: Final = "whywait.holder.threads"  # thread names, "" where not known
HOLDER_TRACE_IDS: Final = "whywait.holder.trace_ids"  # "" where it worked for no request
HOLDER_SPAN_IDS: Final = "whywait.holder.span_ids"
HOLDER_NS: Final = "whywait.holder.ns"
# of GIL_NS, the holder was an event loop that never idled: between short callbacks, or in one
HOLDER_TURNING_NS: Final = "whywait.holder.turning_loop_ns"

# what the thread ran, by samples of its stack, for each function of the user: parallel arrays, longest first; RAN_NS sums
# to at most the span's CPU_NS
RAN_NAMES: Final = "whywait.ran.names"
RAN_FILES: Final = "whywait.ran.files"
RAN_LINES: Final = "whywait.ran.lines"  # the one most often seen
RAN_NS: Final = "whywait.ran.ns"
# in which of the user's functions it slept in a call, in the same way; CALLED_NS sums to at most CALL_NS
CALLED_NAMES: Final = "whywait.called.names"
CALLED_FILES: Final = "whywait.called.files"
CALLED_LINES: Final = "whywait.called.lines"
CALLED_NS: Final = "whywait.called.ns"

# what a span waited for in the run queue, from CPU_LEAST_NS on. RUN_QUEUE_NS is measured; its division among the RIVAL_*
# is sampled, by what used the CPUs at the time
CPU_LEAST_NS: Final = 100_000
CPU_COUNT: Final = "whywait.cpu.count"  # CPUs on which the thread may run
CPU_QUOTA_NS: Final = "whywait.cpu.quota_ns"  # CPU time that the group may use in each CPU_PERIOD_NS; absent: no quota
CPU_PERIOD_NS: Final = "whywait.cpu.quota_period_ns"
# runnable threads of this process, on average, in thousandths; and those that run no Python
CPU_WANTED: Final = "whywait.cpu.wanted_milli"
CPU_WANTED_NATIVE: Final = "whywait.cpu.wanted_native_milli"
# what used the CPUs, or withheld them: parallel arrays, longest first; RIVAL_NS sums to at most RUN_QUEUE_NS, the rest is
# unknown. Beyond the longest, processes are one entry, and threads of this process one
RIVAL_KINDS: Final = "whywait.rival.kinds"  # RIVAL_*
OWN_WORK: Final = "whywait's own work"  # a name of a rival for a CPU, or of a holder of the GIL: the tracer's threads
RIVAL_NAMES: Final = "whywait.rival.names"  # "process crunch", the function, the library, or the quota
RIVAL_NUMBERS: Final = "whywait.rival.numbers"  # process id; 0: of none; -2: of two processes of that name together
RIVAL_FILES: Final = "whywait.rival.files"  # "" where not known
RIVAL_LINES: Final = "whywait.rival.lines"  # 0 where not known
RIVAL_TRACE_IDS: Final = "whywait.rival.trace_ids"  # "" where it worked for no request
RIVAL_SPAN_IDS: Final = "whywait.rival.span_ids"
RIVAL_NS: Final = "whywait.rival.ns"
RIVAL_PROCESS: Final = "process"
RIVAL_SIBLING: Final = "sibling"  # a process of the same name and group, such as another worker of the service
RIVAL_THREAD: Final = "thread"  # of this process, runs Python or is called from it
RIVAL_NATIVE: Final = "native"  # of this process, such as the workers of an OpenMP pool
RIVAL_QUOTA: Final = "quota"  # of a control group: it had run out

# --- pools --------------------------------------------------------------------------------------
POOL_ID: Final = "whywait.pool.id"
POOL_NAME: Final = "whywait.pool.name"  # thread name prefix, or "default", or "anyio"
POOL_NAME_PROCESSES: Final = "processes"  # a ProcessPoolExecutor
POOL_NAME_DEFAULT: Final = "default executor"  # the loop's own
POOL_SIZE: Final = "whywait.pool.size"
POOL_KNOB: Final = "whywait.pool.knob"  # of connections: what makes it larger, in the words of its library
POOL_FILE: Final = "whywait.pool.file"  # where it was made
POOL_FILE_SENSITIVE: Final = "asgiref/"  # in it: one thread for each request, which the library makes
POOL_LINE: Final = "whywait.pool.line"
POOL_FUNCTION: Final = "whywait.pool.function"
POOL_INITIALIZER: Final = "whywait.pool.initializer"  # its name; on the pool_startup that it is part of
POOL_INITIALIZER_NS: Final = "whywait.pool.initializer_ns"
POOL_AGE_NS: Final = "whywait.pool.age_ns"  # at submit
# of a job, from submit on: when a time limit around it fires, and cannot end it
LIMIT_NS: Final = "whywait.limit_ns"

# after `site-packages/` in the path of a file of the service itself, where that is installed: libraries are without it
INSTALLED_APP: Final = "./"
# files of libraries that work on a request around its endpoint, which does not call them
MIDDLEWARE: Final = r"(?i)middleware|gzip|brotli|compress"
# of a task's function: a middleware runs the rest of the application there
CALLS_NEXT: Final = r".*\bcall_next\b.*\.coro$"

# --- from the semantic conventions --------------------------------------------------------------
CODE_FUNCTION: Final = "code.function.name"
CODE_FILE: Final = "code.file.path"
CODE_LINE: Final = "code.line.number"
THREAD_ID: Final = "thread.id"
THREAD_NAME: Final = "thread.name"
RUN: Final = "whywait.run"  # str, of the resource: "uvicorn, CPython 3.11.7, whywait 0.1.0"
PROCESS_KEYS: Final = ("host.name", "process.pid")  # of the resource: which process made the span
BLOCK_SYSCALL: Final = "whywait.block.syscall"  # call in which the samples saw the thread asleep, e.g. "read"
# bool, true on a run in a worker process, and on the wait for its start. The parent and the sampler observed the
# process from outside; a thread on a phase of its job is a thread of the parent
PROCESS: Final = "whywait.process"
WORKER: Final = "whywait.worker.pid"  # the process that ran it, if known: then its clocks were read
SYSCALL_FUTEX: Final = "futex"  # a lock, the GIL, or another thread: unknown which

# --- annotations: results of `analysis`, written as spans of a scope of their own, which it ignores when it reads --
ANNOTATION_SCOPE: Final = "whywait.annotation"
FOUND_CAUSE: Final = "whywait.cause"  # on the lane: the chief cause
FOUND_NS: Final = "whywait.cause_ns"  # int
FOUND_SUM_PREFIX: Final = "whywait.causes."  # + cause + "_ns": on the lane, all causes of the request
FOUND_EVIDENCE: Final = "whywait.cause.evidence"
FOUND_ERROR_NS: Final = "whywait.cause.error_ns"
FOUND_DETAIL: Final = "whywait.cause.detail"
FOUND_ACTIVITY: Final = "whywait.cause.activity"
FOUND_CULPRIT: Final = "whywait.culprit"
FOUND_CULPRIT_FILE: Final = "whywait.culprit.file"
FOUND_CULPRIT_LINE: Final = "whywait.culprit.line"
FOUND_CULPRIT_TRACE_ID: Final = "whywait.culprit.trace_id"
FOUND_CULPRIT_SPAN_ID: Final = "whywait.culprit.span_id"
FOUND_CULPRIT_NS: Final = "whywait.culprit_ns"  # int, the culprit's share of FOUND_NS, in ns


# --- parallel arrays: their entries, for tracer and analysis ----------------------------------------------
class Column(NamedTuple):
    """One of the parallel arrays of a group; entries with one index belong together."""

    key: str
    field: str  # of the entry's value, dotted for a nested one
    holds: Literal["text", "number", "file", "line", "trace_id", "span_id"]  # ids as hex digits, "" for 0
    only_with: str = ""  # a field; the array is omitted if it is empty in all entries


BLOCKERS: Final = (
    Column(BLOCKERS_NAMES, "name", "text"),
    Column(BLOCKERS_FILES, "place", "file"),
    Column(BLOCKERS_LINES, "place", "line"),
    Column(BLOCKERS_TRACE_IDS, "trace_id", "trace_id"),
    Column(BLOCKERS_SPAN_IDS, "span_id", "span_id"),
    Column(BLOCKERS_NS, "ns", "number"),
)
OCCUPANTS: Final = (
    Column(OCCUPANT_NAMES, "occupant.name", "text"),
    Column(OCCUPANT_FILES, "occupant.told_place", "file", "occupant.told_place"),
    Column(OCCUPANT_LINES, "occupant.told_place", "line", "occupant.told_place"),
    Column(OCCUPANT_TRACE_IDS, "occupant.trace_id", "trace_id"),
    Column(OCCUPANT_SPAN_IDS, "occupant.span_id", "span_id"),
    Column(OCCUPANT_NS, "ns", "number"),
)
HOLDERS: Final = (
    Column(HOLDER_NAMES, "name", "text"),
    Column(HOLDER_FILES, "place", "file"),
    Column(HOLDER_LINES, "place", "line"),
    Column(HOLDER_THREADS, "thread_name", "text"),
    Column(HOLDER_TRACE_IDS, "trace_id", "trace_id"),
    Column(HOLDER_SPAN_IDS, "span_id", "span_id"),
    Column(HOLDER_NS, "ns", "number"),
)
RAN: Final = (
    Column(RAN_NAMES, "place.function", "text"),
    Column(RAN_FILES, "place", "file"),
    Column(RAN_LINES, "place", "line"),
    Column(RAN_NS, "ns", "number"),
)
CALLED: Final = (
    Column(CALLED_NAMES, "place.function", "text"),
    Column(CALLED_FILES, "place", "file"),
    Column(CALLED_LINES, "place", "line"),
    Column(CALLED_NS, "ns", "number"),
)
CPU_USERS: Final = (
    Column(RIVAL_KINDS, "kind", "text"),
    Column(RIVAL_NAMES, "name", "text"),
    Column(RIVAL_NUMBERS, "process_id", "number", "process_id"),
    Column(RIVAL_FILES, "place", "file", "place"),
    Column(RIVAL_LINES, "place", "line", "place"),
    Column(RIVAL_TRACE_IDS, "trace_id", "trace_id", "trace_id"),
    Column(RIVAL_SPAN_IDS, "span_id", "span_id", "trace_id"),
    Column(RIVAL_NS, "ns", "number"),
)
