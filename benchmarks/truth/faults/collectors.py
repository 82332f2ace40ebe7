"""A thread that takes up the results of all requests, one after the other, and waits for a slower one first."""

import asyncio
import queue
import threading
from concurrent.futures import Future
from time import perf_counter_ns
from typing import Any

from benchmarks.truth.fault import LEAD_S, around, fault, helped_by
from benchmarks.truth.faults.pools import pool
from benchmarks.truth.record import Part, who
from benchmarks.truth.work import Did, nap
from whywait.analysis.causes import Cause

Asked = tuple["Future[Did]", asyncio.AbstractEventLoop, "asyncio.Future[tuple[Did, int]]"]
asked: "queue.SimpleQueue[Asked | None]" = queue.SimpleQueue()
collectors: list[threading.Thread] = []


def take_results() -> None:
    """Hands each result to who asked for it, in the order in which they asked; and when it was taken up."""
    while (one := asked.get()) is not None:
        job, loop, answer = one
        taken_ns = perf_counter_ns()
        did = job.result()
        loop.call_soon_threadsafe(answer.set_result, (did, max(taken_ns, did.ended_ns)))


async def _nap(seconds: float) -> tuple[Did, int]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[Did, int]] = loop.create_future()
    asked.put((pool("threads", 8).submit(nap, seconds), loop, answer))
    return await answer


@fault(
    Cause.COLLECT_ORDER, "its job is done; who takes the results waits for another request's first",
    off_loop=True, quick=True,
)  # fmt: skip
async def taken_up_late(_: float) -> list[Part]:
    did, taken_ns = await _nap(0.002)
    return [Part(Cause.COLLECT_ORDER, taken_ns - did.ended_ns, who(take_results))]


@helped_by(taken_up_late)
async def be_slow(ms: float, _: str) -> None:
    await _nap(ms / 1_000 + LEAD_S)


async def _dismiss(_: float) -> None:
    asked.put(None)
    await asyncio.to_thread(collectors.pop().join)


@around(taken_up_late, _dismiss)
async def hire_collector(_: float) -> None:
    thread: Any = threading.Thread(target=take_results, name="collector")
    collectors.append(thread)
    thread.start()
