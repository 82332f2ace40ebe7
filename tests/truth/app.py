"""A service whose delays are known: each endpoint waits for one thing, for an amount the caller chose."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, asynccontextmanager

from fastapi import FastAPI

from tests.kernel import run_queue_ns

POOL_SIZES = (1, 2, 6, 10)
pools: dict[int, ThreadPoolExecutor] = {}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    with ExitStack() as stack:
        for size in POOL_SIZES:
            pools[size] = stack.enter_context(ThreadPoolExecutor(size, f"pool-{size}"))
            list(pools[size].map(time.sleep, [0.01] * size))  # all threads started
        yield


app = FastAPI(lifespan=lifespan)


Stamps = tuple[int, int, int, int]  # submitted, began, ended (perf_counter_ns), thread


def nap(seconds: float, submitted_ns: int = 0) -> Stamps:
    """Sleeps, and tells what it saw itself: the truth that the trace is held against."""
    began_ns = time.perf_counter_ns()
    time.sleep(seconds)
    return submitted_ns, began_ns, time.perf_counter_ns(), threading.get_ident()


@app.get("/pool/{size}")
async def pool(size: int, jobs: int = 10, ms: float = 20) -> list[Stamps]:
    loop = asyncio.get_running_loop()
    work = [loop.run_in_executor(pools[size], nap, ms / 1000, time.perf_counter_ns()) for _ in range(jobs)]
    return await asyncio.gather(*work)


@app.get("/victim")
async def victim(ms: float = 20) -> Stamps:
    return await asyncio.get_running_loop().run_in_executor(pools[2], nap, ms / 1000)


@app.get("/blocker")
async def blocker(ms: float = 300) -> float:
    return hold_the_loop(ms / 1000)


def hold_the_loop(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@app.get("/threaded")
def threaded(jobs: int = 8, ms: float = 20) -> list[Stamps]:
    with ThreadPoolExecutor(4) as fresh:
        work = [fresh.submit(nap, ms / 1000, time.perf_counter_ns()) for _ in range(jobs)]
        collects_ns = time.perf_counter_ns()  # until then this thread did not wait: it made the pool's threads
        done = [job.result() for job in as_completed(work)]
    return [(max(submitted_ns, collects_ns), *rest) for submitted_ns, *rest in done]


@app.get("/sleep")
async def sleep(ms: float = 50) -> float:
    await asyncio.sleep(ms / 1000)
    return ms


ledger = threading.Lock()
inbox: "queue.Queue[int]" = queue.Queue()
Held = tuple[int, int, int]  # asked, had, released (perf_counter_ns)


def keep_books(seconds: float) -> Held:
    asked_ns = time.perf_counter_ns()
    with ledger:
        had_ns = time.perf_counter_ns()
        time.sleep(seconds)
        released_ns = time.perf_counter_ns()
    return asked_ns, had_ns, released_ns


@app.get("/books")
def books(ms: float = 0) -> Held:
    """Holds the one lock of this service."""
    return keep_books(ms / 1000)


@app.get("/held")
async def held() -> bool:
    return ledger.locked()


class SlowHandler(logging.Handler):
    """Stands for a slow disk."""

    def emit(self, record: logging.LogRecord) -> None:
        time.sleep(0.03)


audit = logging.getLogger("truth.audit")
audit.propagate = False
audit.addHandler(SlowHandler())


@app.get("/audited")
def audited() -> str:
    audit.warning("one line")
    return "written"


@app.get("/awaited_item")
def awaited_item(ms: float = 40) -> tuple[int, int]:
    """Waits for an item from a thread that works for no request: when it asked, and when that came."""
    threading.Timer(ms / 1000, lambda: inbox.put(time.perf_counter_ns())).start()
    return time.perf_counter_ns(), inbox.get()


@app.get("/hog")
def hog(ms: float = 300) -> None:
    """Computes in Python, in two threads of nobody's."""
    for _ in range(2):
        threading.Thread(target=spin, args=(ms,)).start()


def spin(ms: float) -> None:
    deadline = time.perf_counter() + ms / 1000
    while time.perf_counter() < deadline:
        sum(range(500))


@app.get("/uncontended")
def uncontended() -> int:
    for _ in range(100):
        with ledger:
            pass
    return 100


@app.get("/run_queue")
async def run_queue() -> int:
    """How long the loop's thread was runnable without a CPU so far, by the kernel's count, in ns."""
    return run_queue_ns()


@app.get("/idle")
async def idle() -> str:
    return "nothing to do"


async def busy_for(ms: float) -> None:
    deadline = time.perf_counter() + ms / 1000
    while time.perf_counter() < deadline:
        pass


async def long_wait(ms: float) -> None:
    await asyncio.sleep(ms / 1000)


@app.get("/off_path")
async def off_path(short_ms: float = 20, long_ms: float = 100) -> None:
    """Two coroutines under gather, the shorter of them off the critical path."""
    await asyncio.gather(long_wait(short_ms), long_wait(long_ms))
