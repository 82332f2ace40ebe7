"""What each cause means for a person, and what to change. One table for terminal, HTML and README."""

from dataclasses import dataclass
from typing import Final

from whywait.analysis.causes import Cause


@dataclass(frozen=True, slots=True)
class Advice:
    """Words for one cause."""

    meaning: str  # "the request was ..."
    remedy: str  # what to do about it
    phrase: str  # for a sentence: "495 ms (61%) <phrase>"


ADVICE: Final[dict[Cause, Advice]] = {
    Cause.COMPUTE: Advice(
        "running on a CPU",
        "Do less: batch calls, cache, or use a faster algorithm. The spans say in which function.",
        "computing",
    ),
    Cause.GIL_WAIT: Advice(
        "runnable Python waiting for the GIL",
        "Run less Python at once: batch, use fewer threads, or move work to processes.",
        "waiting for the GIL",
    ),
    Cause.CPU_WAIT: Advice(
        "runnable, without a CPU: another process, other threads of its own, or a quota",
        "Start fewer threads (also inside native libraries), raise the CPU quota, or move other load away.",
        "runnable without a CPU",
    ),
    Cause.LOCK_WAIT: Advice(
        "blocked on a lock, semaphore, event or condition",
        "Hold the lock for less (no I/O under it), or split it; one lock per object instead of one for all.",
        "waiting for a lock",
    ),
    Cause.LOGGING_WAIT: Advice(
        "inside a logging handler or waiting for its lock",
        "Log through a QueueHandler, and less of it on the request's path.",
        "in logging",
    ),
    Cause.BLOCKING_IO: Advice(
        "a thread blocked in a system call or a sleep",
        "On the event loop use the asynchronous counterpart, or move the call to a worker thread.",
        "in a blocking call",
    ),
    Cause.GC_PAUSE: Advice(
        "stopped by the garbage collector",
        "Create fewer objects per request; gc.freeze() after start-up; raise gc.set_threshold.",
        "stopped by the garbage collector",
    ),
    Cause.POOL_QUEUE: Advice(
        "submitted to a pool whose workers were all busy",
        "Submit fewer, larger jobs (one batch instead of one job per item); a larger pool only helps while "
        "CPUs are idle.",
        "queued for a worker of a pool",
    ),
    Cause.POOL_STARTUP: Advice(
        "waiting for a pool's thread to start or initialise",
        "Make the pool once, at start-up, and warm it; not per request.",
        "waiting for a pool's thread to start",
    ),
    Cause.POOL_SHUTDOWN: Advice(
        "waiting for shutdown(wait=True), as at the end of `with ThreadPoolExecutor()`",
        "Keep one pool for the life of the service.",
        "waiting for a pool to shut down",
    ),
    Cause.LIMITER_WAIT: Advice(
        "waiting for a token, semaphore, asyncio lock or queue",
        "Raise the limit, or shorten what is done under it; `def` endpoints share 40 tokens.",
        "waiting for a token, lock or turn",
    ),
    Cause.LOOP_BUSY: Advice(
        "ready to go on, while the event loop ran something else",
        "Move the named code off the loop (a thread, a process), or cut it into awaits.",
        "ready, while the event loop ran something else",
    ),
    Cause.LOOP_WAKEUP: Advice(
        "done elsewhere, and the loop not yet awake",
        "Usually tens of microseconds; more of it means that the loop's thread lacks a CPU or the GIL.",
        "waiting for the event loop to wake up",
    ),
    Cause.COLLECT_ORDER: Advice(
        "its result was ready, and the collector was busy with others first",
        "Collect with gather, or as results complete, and do not work between results.",
        "waiting to be collected",
    ),
    Cause.AWAIT_IO: Advice(
        "awaiting a socket, timer or subprocess",
        "Look at what is awaited: start it earlier, run awaits at the same time, cache, or set a timeout.",
        "awaiting I/O or a timer",
    ),
    Cause.REQUEST_IO: Advice(
        "reading the request's body or sending the response",
        "Smaller bodies, compression, a client that reads faster.",
        "reading the body or sending the response",
    ),
    Cause.GPU_QUEUE: Advice(
        "waiting for the GPU while others used it",
        "Batch requests; one worker per GPU.",
        "queued for the GPU",
    ),
    Cause.GPU_COPY: Advice(
        "copying to or from the GPU",
        "Keep data on the device; pinned memory; batch.",
        "copying to or from the GPU",
    ),
    Cause.GPU_COMPUTE: Advice(
        "computing on the GPU", "A smaller model, a larger batch, lower precision.", "computing on the GPU"
    ),
    Cause.UNEXPLAINED: Advice(
        "none of the above could be shown",
        "Name the work with `tracer.phase`, so that there are more samples of its kind; the report says what this "
        "machine does not show.",
        "that could not be explained",
    ),
}


def markdown_table() -> str:
    """The table of causes as the README has it; a test keeps the two alike."""
    lines = ["| cause | the request was … | what to do |", "|---|---|---|"]
    for cause, advice in ADVICE.items():
        lines.append(f"| `{cause}` | {advice.meaning} | {advice.remedy} |")
    return "\n".join(lines)
