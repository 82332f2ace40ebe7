"""Runs random programs under one core and prints what it recorded of them: a program of its own, so that each process
picks one core.

python random_programs.py asyncio|uvloop SEED...
"""

import asyncio
import gc
import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from types import CodeType
from typing import Any

from opentelemetry import trace

import whywait
from whywait.tracer.config import KEEP_SLOW, Config
from whywait.tracer.hotpath import core
from whywait.tracer.records.current import here
from whywait.tracer.records.request import Activity, Job, Mark
from whywait.tracer.schema import WAIT_POOL_STARTUP

DEPTH = 2
JOB_IDS: list[int] = []  # of the spans that were current in jobs


async def step() -> None:
    await asyncio.sleep(0)


async def timer() -> None:
    await asyncio.sleep(0.002)


def first() -> None:
    time.sleep(0.01)  # it ends while its waiter waits, never before


def second() -> None:
    time.sleep(0.01)


async def handed_over(pool: ThreadPoolExecutor, random: Random) -> None:
    await asyncio.get_running_loop().run_in_executor(pool, random.choice((first, second)))


def raising() -> None:
    time.sleep(0.01)
    raise KeyError


def span_here() -> int:
    return trace.get_current_span().get_span_context().span_id


def asks_for_its_span(job_ids: list[int]) -> None:
    time.sleep(0.01)
    job_ids.append(span_here())


async def fails_in_a_job(pool: ThreadPoolExecutor) -> None:
    with suppress(KeyError):
        await asyncio.get_running_loop().run_in_executor(pool, raising)


def counting(*given: int, last: int) -> None:
    time.sleep(0.01)
    assert last == len(given)


async def with_arguments(pool: ThreadPoolExecutor, random: Random) -> None:
    count = random.randint(0, 20)  # beyond 16 the native core leaves them to Python
    await asyncio.wrap_future(pool.submit(counting, *range(count), last=count))


async def refused() -> None:
    ended = ThreadPoolExecutor(1)
    ended.shutdown()
    with suppress(RuntimeError):
        ended.submit(first)


async def in_a_thread(job_ids: list[int]) -> None:
    with whywait.phase("around"):
        await asyncio.to_thread(asks_for_its_span, job_ids)


def hands_on(pool: ThreadPoolExecutor) -> None:
    time.sleep(0.01)
    pool.submit(second).result()


async def job_of_a_job(pool: ThreadPoolExecutor) -> None:
    with ThreadPoolExecutor(1, "further") as further:
        await asyncio.get_running_loop().run_in_executor(pool, hands_on, further)


async def from_a_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        asyncio.get_running_loop().call_later(0.002, theirs.send, b"x")
        await asyncio.get_running_loop().sock_recv(ours, 1)


async def cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(5))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def fails() -> None:
    async def raises() -> None:
        await asyncio.sleep(0)
        raise ValueError

    with suppress(ValueError):
        await asyncio.create_task(raises())


async def woken() -> None:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, 1)
    await future


def nested() -> None:
    time.sleep(0.01)
    asyncio.run(step())


async def loop_in_a_thread(pool: ThreadPoolExecutor) -> None:
    await asyncio.get_running_loop().run_in_executor(pool, nested)


async def several(pool: ThreadPoolExecutor, random: Random, depth: int) -> None:
    # the parts of each have a generator of their own: the order in which jobs end must not matter
    await asyncio.gather(*(program(pool, Random(random.random()), depth - 1) for _ in range(random.randint(2, 3))))


async def program(pool: ThreadPoolExecutor, random: Random, depth: int) -> None:
    for _ in range(random.randint(1, 3)):
        kind = random.randrange(14 if depth else 13)
        if kind == 0:
            await step()
        elif kind == 1:
            await timer()
        elif kind == 2:
            await handed_over(pool, random)
        elif kind == 3:
            await cancelled()
        elif kind == 4:
            await fails()
        elif kind == 5:
            await woken()
        elif kind == 6:
            await loop_in_a_thread(pool)
        elif kind == 7:
            await fails_in_a_job(pool)
        elif kind == 8:
            await in_a_thread(JOB_IDS)
        elif kind == 9:
            await job_of_a_job(pool)
        elif kind == 10:
            await from_a_socket()
        elif kind == 11:
            await with_arguments(pool, random)
        elif kind == 12:
            await refused()
        else:
            await several(pool, random, depth)


def said(by: Any) -> str:
    if isinstance(by, Activity):
        return f"{type(by).__name__} {by.name}"
    if isinstance(by, Mark):
        return by.kind
    return by.co_qualname if isinstance(by, CodeType) else type(by).__name__


def recorded(root: Activity) -> list[Any]:
    """Each activity: kind, name, whose, outcome, steps, and its waits by what ended them."""
    found = []
    for one in root.request.activities:
        whose = one.spawner.name if one.spawner is not None else ""
        waits = sorted(f"{wait.kind} by {said(wait.by)}" for wait in one.waits if wait.kind != WAIT_POOL_STARTUP)
        assert one.run_ns > 0 or type(one) is not Activity or not one.steps
        assert all(wait.start_ns <= wait.cause_ns <= wait.end_ns for wait in one.waits)
        steps = one.steps if type(one) is Activity else 0
        found.append([type(one).__name__, one.name, whose, one.outcome, steps, len(waits), waits, *of_a_job(one)])
    return sorted(found)


def of_a_job(job: Activity) -> list[Any]:
    """What only a job has: its pool, its worker, its occupancy, and whose span was the current one in it."""
    if not isinstance(job, Job):
        return []
    assert job.born_ns <= job.start_ns <= job.end_ns == job.done_ns == job.stop_ns
    assert min(job.cpu_ns, job.run_queue_ns or 0, job.handover_run_queue_ns or 0, job.thread_id - 1) >= 0
    assert job.idle_since_ns <= job.start_ns
    assert job.pool is not None
    (held,) = [one for one in job.pool.occupancies if one.span_id == job.span_id]
    assert (held.start_ns, held.end_ns, held.thread_id) == (job.start_ns, job.end_ns, job.thread_id)
    assert (held.name, held.code, held.trace_id) == (job.name, job.code, job.request.trace_id)
    worker = job.thread_name.rpartition("_")[0].partition("-")[0]
    return [job.pool.name.partition("-")[0], worker, job.is_parent, job.run_id in JOB_IDS]


async def run(seed: int) -> list[Any]:
    # one worker, and one thread's loop at a time
    with ThreadPoolExecutor(1) as pool, whywait.phase("request"):
        root = here.current
        await several(pool, Random(seed), DEPTH)
        return recorded(root)


def main(loop: str, *seeds: str) -> None:
    factory = None
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    whywait.start("programs", config=Config(keep=KEEP_SLOW, slow_ns=10**15, keep_share=0.0))
    gc.disable()  # its pauses are waits, too
    programs = []
    with asyncio.Runner(loop_factory=factory) as runner:
        for seed in seeds:
            programs.append(runner.run(run(int(seed))))
    whywait.stop()
    print(json.dumps({"core": core.name, "programs": programs}))


if __name__ == "__main__":
    main(*sys.argv[1:])
