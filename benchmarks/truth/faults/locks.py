"""Threads that wait: for locks, conditions, log handlers, a sleep."""

import asyncio
import logging
import threading
import time
from time import perf_counter_ns

from benchmarks.truth.fault import LEAD_S, around, fault, helped_by
from benchmarks.truth.faults.pools import pool
from benchmarks.truth.meter import parts_of, read, since
from benchmarks.truth.record import Part, who
from benchmarks.truth.work import Did, Past, nap, spanned, spin
from whywait.analysis.causes import Cause


@fault(Cause.BLOCKING_IO, "a sleep in a worker thread", off_loop=True, quick=True)
async def sleep_in_worker(ms: float) -> list[Part]:
    did = await asyncio.get_running_loop().run_in_executor(pool("threads", 8), nap, ms / 1_000)
    return parts_of(did.spent, who(nap), Cause.BLOCKING_IO)


@spanned
def collect(seconds: float) -> Did:
    """Hands a job to another pool and waits for its result."""
    result: Did = pool("many", 24).submit(nap, seconds).result()
    return result


@fault(Cause.BLOCKING_IO, "a thread waits for the result of a job that sleeps", off_loop=True, quick=True)
async def result_in_thread(ms: float) -> list[Part]:
    did = await asyncio.get_running_loop().run_in_executor(pool("threads", 8), collect, ms / 1_000)
    return parts_of(did.spent, who(nap), Cause.BLOCKING_IO)


ledger, books = threading.Lock(), Past()


@spanned
def keep_books(seconds: float, request: str) -> tuple[int, int]:
    """Holds the ledger's lock for so long; when it asked for it and when it had it."""
    asked_ns = perf_counter_ns()
    with ledger:
        had_ns = perf_counter_ns()
        time.sleep(seconds)
        books.add(had_ns, perf_counter_ns(), request)
    return asked_ns, had_ns


@fault(Cause.LOCK_WAIT, "a lock that another request holds while it sleeps", off_loop=True, quick=True)
async def lock_held(ms: float) -> list[Part]:
    run = asyncio.get_running_loop().run_in_executor
    asked_ns, had_ns = await run(pool("threads", 8), keep_books, 0, "")
    by = who(keep_books, books.chief(asked_ns, had_ns))
    return [Part(Cause.LOCK_WAIT, books.overlap_ns(asked_ns, had_ns), by)]


@helped_by(lock_held)
async def hold_lock(ms: float, request: str) -> None:
    run = asyncio.get_running_loop().run_in_executor
    await run(pool("threads", 8), keep_books, ms / 1_000 + LEAD_S, request)


narrow, passed = threading.Lock(), Past()
CONVOY = 5


@spanned
def pass_through(seconds: float, times: int) -> tuple[int, int]:
    """Takes the narrow lock again and again, each time for so long; ns it waited for it, when it was done."""
    waited_ns = 0
    for _ in range(times):
        asked_ns = perf_counter_ns()
        with narrow:
            had_ns = perf_counter_ns()
            waited_ns += passed.overlap_ns(asked_ns, had_ns)
            time.sleep(seconds)
            passed.add(had_ns, perf_counter_ns())
    return waited_ns, perf_counter_ns()


@fault(Cause.LOCK_WAIT, "a convoy: five threads of the request take turns at one lock", off_loop=True)
async def lock_convoy(ms: float) -> list[Part]:
    run = asyncio.get_running_loop().run_in_executor
    hold_s = ms / 1_000 / CONVOY / 3
    done = await asyncio.gather(*(run(pool("threads", 8), pass_through, hold_s, 3) for _ in range(CONVOY)))
    waited_ns, _ = max(done, key=lambda one: one[1])
    return [Part(Cause.LOCK_WAIT, waited_ns, who(pass_through))]


device, predicted = threading.Lock(), Past()


@spanned
def predict(seconds: float, request: str) -> tuple[int, int]:
    """Computes under the one lock that guards the device."""
    asked_ns = perf_counter_ns()
    with device:
        had_ns = perf_counter_ns()
        spin(seconds)
        predicted.add(had_ns, perf_counter_ns(), request)
    return asked_ns, had_ns


@fault(Cause.LOCK_WAIT, 'a "GPU lock" around predict, held by another request that computes', off_loop=True)
async def gpu_lock(ms: float) -> list[Part]:
    run = asyncio.get_running_loop().run_in_executor
    asked_ns, had_ns = await run(pool("threads", 8), predict, 0.0005, "")
    by = who(predict, predicted.chief(asked_ns, had_ns))
    return [Part(Cause.LOCK_WAIT, predicted.overlap_ns(asked_ns, had_ns), by)]


@helped_by(gpu_lock)
async def predict_long(ms: float, request: str) -> None:
    run = asyncio.get_running_loop().run_in_executor
    await run(pool("threads", 8), predict, ms / 1_000 + LEAD_S, request)


signal = threading.Condition()
came = Past()


def announce() -> None:
    """Notifies whoever waits."""
    with signal:
        came.add(perf_counter_ns(), perf_counter_ns())
        signal.notify_all()


@spanned
def await_signal(ms: float) -> tuple[int, int]:
    """Waits for a condition that a timer's thread announces."""
    threading.Timer(ms / 1_000, announce).start()
    with signal:
        asked_ns = perf_counter_ns()
        signal.wait()
        return asked_ns, perf_counter_ns()


@fault(Cause.LOCK_WAIT, "a condition that a thread of nobody's announces", off_loop=True)
async def condition(ms: float) -> list[Part]:
    run = asyncio.get_running_loop().run_in_executor
    asked_ns, had_ns = await run(pool("threads", 8), await_signal, ms)
    return [Part(Cause.LOCK_WAIT, max(came.last_end(had_ns) - asked_ns, 0), who(announce))]


class SlowHandler(logging.Handler):
    """Stands for a slow disk."""

    delay_s = 0.0
    took_ns = 0

    def emit(self, record: logging.LogRecord) -> None:
        before = read()
        time.sleep(self.delay_s)
        SlowHandler.took_ns = since(before).asleep_ns


audit = logging.getLogger("truth.audit")
audit.propagate = False


@spanned
def write_audit() -> int:
    """Logs one line; what the handler took."""
    audit.warning("one line")
    return SlowHandler.took_ns


@fault(Cause.LOGGING_WAIT, "a logging handler that is slow", off_loop=True, quick=True)
async def slow_logging(ms: float) -> list[Part]:
    took_ns = await asyncio.get_running_loop().run_in_executor(pool("threads", 8), write_audit)
    return [Part(Cause.LOGGING_WAIT, took_ns, who(SlowHandler.emit, name="SlowHandler"))]


@around(slow_logging)
async def open_log(ms: float) -> None:
    if not audit.handlers:
        audit.addHandler(SlowHandler())
    SlowHandler.delay_s = ms / 1_000
