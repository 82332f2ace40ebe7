"""Pools: too small, taken by others, made anew, slow to begin, waited for at their end; tokens and semaphores."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns
from typing import Any

import anyio
import anyio.to_thread

from benchmarks.truth.fault import LEAD_S, fault, helped_by
from benchmarks.truth.meter import read, since
from benchmarks.truth.record import Part, who
from benchmarks.truth.work import Did, Past, nap, spanned, spin, stamp
from whywait.analysis.causes import Cause

JOBS, WORKERS = 8, 2
POOLS = {"small": 2, "one": 1, "threads": 8, "starved": 1, "many": 24, **{f"program-{n}": n for n in (1, 2, 8)}}
kept: dict[str, Any] = {}


def pool(name: str, workers: int) -> ThreadPoolExecutor:
    """A pool of the service's life, all its threads started when first asked for."""
    if name not in kept:
        made = kept[name] = ThreadPoolExecutor(workers, name)
        list(made.map(time.sleep, [0.01] * workers))
    return kept[name]  # type: ignore[no-any-return]


def close_all() -> None:
    """Ends all that were kept, processes too."""
    for one in list(kept.values()):
        if hasattr(one, "shutdown"):
            one.shutdown(wait=True)


@fault(
    Cause.POOL_QUEUE, "8 jobs of one request on a pool of 2 workers", off_loop=True, quick=True,
)  # fmt: skip
async def pool_too_small(ms: float) -> list[Part]:
    loop, own = asyncio.get_running_loop(), pool("small", WORKERS)

    async def job() -> tuple[int, Did]:
        submitted_ns = perf_counter_ns()
        return submitted_ns, await loop.run_in_executor(own, nap, ms / 3_000)

    done = await asyncio.gather(*(job() for _ in range(JOBS)))
    submitted_ns, last = max(done, key=lambda one: one[1].ended_ns)
    before = [one.ended_ns for _, one in done if one.thread == last.thread and one.ended_ns <= last.began_ns]
    return [
        Part(Cause.POOL_QUEUE, max(before, default=submitted_ns) - submitted_ns, who(nap)),
        Part(Cause.BLOCKING_IO, last.spent.asleep_ns, who(nap)),
    ]


taken = Past()


@spanned
def occupy(seconds: float, request: str) -> None:
    """Keeps the only worker."""
    began_ns = perf_counter_ns()
    time.sleep(seconds)
    taken.add(began_ns, perf_counter_ns(), request)


@fault(Cause.POOL_QUEUE, "a tiny job; the only worker has a job of another request", off_loop=True, quick=True)
async def pool_taken(ms: float) -> list[Part]:
    submitted_ns = perf_counter_ns()
    began_ns = await asyncio.get_running_loop().run_in_executor(pool("one", 1), stamp)
    free_ns = taken.last_end(began_ns)
    by = who(occupy, taken.chief(submitted_ns, began_ns))
    return [Part(Cause.POOL_QUEUE, free_ns - submitted_ns, by)]


@helped_by(pool_taken)
async def keep_worker(ms: float, request: str) -> None:
    await asyncio.get_running_loop().run_in_executor(pool("one", 1), occupy, ms / 1_000 + LEAD_S, request)


began = Past()


def connect(ms: float) -> None:
    """An initializer that waits, as for a connection."""
    before = read()
    time.sleep(ms / 1_000)
    began.add(before.wall_ns, before.wall_ns + since(before).wall_ns)


def warm_up(ms: float) -> None:
    """An initializer that computes, as one that builds a cache."""
    before = read()
    spin(ms / 1_000)
    began.add(before.wall_ns, before.wall_ns + since(before).wall_ns)


@fault(Cause.POOL_STARTUP, "a pool per request, with an initializer that waits", off_loop=True, quick=True)
async def pool_per_request(ms: float) -> list[Part]:
    asked_ns = perf_counter_ns()
    with ThreadPoolExecutor(4, "fresh", initializer=connect, initargs=(ms,)) as fresh:
        began_ns = await asyncio.get_running_loop().run_in_executor(fresh, stamp)
    return [Part(Cause.POOL_STARTUP, began.overlap_ns(asked_ns, began_ns), who(pool_per_request.inject, name=""))]


@fault(Cause.POOL_STARTUP, "a pool's first thread, with an initializer that computes", off_loop=True)
async def slow_initializer(ms: float) -> list[Part]:
    asked_ns = perf_counter_ns()
    fresh = ThreadPoolExecutor(1, "warmed", initializer=warm_up, initargs=(ms,))
    began_ns = await asyncio.get_running_loop().run_in_executor(fresh, stamp)
    threading.Thread(target=fresh.shutdown).start()  # beside the request
    return [Part(Cause.POOL_STARTUP, began.overlap_ns(asked_ns, began_ns), who(slow_initializer.inject, name=""))]


@fault(Cause.POOL_SHUTDOWN, "leaving `with ThreadPoolExecutor()` while a job of nobody's runs", off_loop=True)
async def pool_shutdown(ms: float) -> list[Part]:
    def close() -> tuple[int, int]:
        with ThreadPoolExecutor(2, "leaving") as leaving:
            stray = threading.Thread(target=leaving.submit, args=(nap, ms / 1_000))
            stray.start()
            stray.join()
            from_ns = perf_counter_ns()
        return from_ns, perf_counter_ns()

    from_ns, to_ns = await asyncio.to_thread(close)
    return [Part(Cause.POOL_SHUTDOWN, to_ns - from_ns, who(pool_shutdown.inject, name=""))]


tokens = Past()


@spanned
def hold_token(seconds: float, request: str) -> None:
    """Keeps the only token while it sleeps."""
    began_ns = perf_counter_ns()
    time.sleep(seconds)
    tokens.add(began_ns, perf_counter_ns(), request)


def limiter() -> anyio.CapacityLimiter:
    if "limiter" not in kept:
        kept["limiter"] = anyio.CapacityLimiter(1)
    return kept["limiter"]  # type: ignore[no-any-return]


@fault(Cause.LIMITER_WAIT, "anyio's tokens exhausted by another request", off_loop=True, quick=True)
async def anyio_tokens(ms: float) -> list[Part]:
    asked_ns = perf_counter_ns()
    began_ns = await anyio.to_thread.run_sync(stamp, limiter=limiter())
    by = who(hold_token, tokens.chief(asked_ns, began_ns))
    return [Part(Cause.LIMITER_WAIT, max(tokens.last_end(began_ns) - asked_ns, 0), by)]


@helped_by(anyio_tokens)
async def take_token(ms: float, request: str) -> None:
    await anyio.to_thread.run_sync(hold_token, ms / 1_000 + LEAD_S, request, limiter=limiter())


turns = Past()


def semaphore() -> asyncio.Semaphore:
    if "semaphore" not in kept:
        kept["semaphore"] = asyncio.Semaphore(1)
    return kept["semaphore"]  # type: ignore[no-any-return]


@fault(Cause.LIMITER_WAIT, "an asyncio semaphore that another request holds while it awaits", off_loop=True, quick=True)
async def semaphore_held(ms: float) -> list[Part]:
    asked_ns = perf_counter_ns()
    async with semaphore():
        had_ns = perf_counter_ns()
    request = turns.chief(asked_ns, had_ns)
    released_ns = turns.last_end(had_ns)
    by = who(hold_turn, request)
    return [Part(Cause.LIMITER_WAIT, max(released_ns - asked_ns, 0), by)]


@helped_by(semaphore_held)
async def hold_turn(ms: float, request: str) -> None:
    async with semaphore():
        from_ns = perf_counter_ns()
        await asyncio.sleep(ms / 1_000 + LEAD_S)
        turns.add(from_ns, perf_counter_ns(), request)
