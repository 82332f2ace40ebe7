"""Healthy services of several shapes: nobody may be accused. Every step takes well under a millisecond."""

import asyncio
import json
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio.to_thread

from benchmarks.truth.context import request_of
from benchmarks.truth.faults.pools import pool
from benchmarks.truth.meter import read
from benchmarks.truth.work import spanned, spin, stamp

Shape = Callable[[], Awaitable[Any]]
quiet = logging.getLogger("truth.quiet")
quiet.propagate = False
quiet.addHandler(logging.NullHandler())
locks = threading.local()  # one lock for each thread: nobody else wants it
gil_waits_ns: list[int] = []  # of the workers, for the GIL, since the job before: the loop's own are known


class _Worker(threading.local):
    gil_ns = -1  # of its life, when it ended its latest job


_worker = _Worker()


def note_gil() -> None:
    """Called by a worker at the end of a job."""
    now_ns = read().gil_ns
    if _worker.gil_ns >= 0:
        gil_waits_ns.append(now_ns - _worker.gil_ns)
    _worker.gil_ns = now_ns


@spanned
def small_work() -> int:
    """A quarter of a millisecond of Python, a free lock, a line to a quick handler."""
    spin(0.00025)
    if not hasattr(locks, "free"):
        locks.free = threading.Lock()
    with locks.free:
        quiet.warning("one line")
    note_gil()
    return stamp()


async def hello() -> str:
    """Answers at once."""
    return "hello"


async def in_a_thread() -> int:
    """One small job of the default executor."""
    return await asyncio.to_thread(small_work)


async def in_a_pool() -> list[int]:
    """Four small jobs at once, on a pool with room for many more."""
    run = asyncio.get_running_loop().run_in_executor
    return await asyncio.gather(*(run(pool("many", 24), small_work) for _ in range(4)))


async def through_anyio() -> int:
    """As a `def` endpoint."""
    return await anyio.to_thread.run_sync(small_work)


async def on_the_loop() -> int:
    """Some computing and yielding on the loop."""
    for _ in range(4):
        spin(0.0001)
        await asyncio.sleep(0)
    return stamp()


async def in_tasks() -> list[Any]:
    """Some tasks that take turns at a free semaphore."""
    room = asyncio.Semaphore(8)

    async def one() -> int:
        async with room:
            await asyncio.sleep(0)
            return stamp()

    return await asyncio.gather(*(one() for _ in range(5)))


async def a_small_body() -> int:
    """A few hundred bytes of JSON."""
    body = await request_of.get().body()
    return len(json.loads(body or b"[]"))


SHAPES: Final[dict[str, Shape]] = {
    one.__name__: one for one in (hello, in_a_thread, in_a_pool, through_anyio, on_the_loop, in_tasks, a_small_body)
}
