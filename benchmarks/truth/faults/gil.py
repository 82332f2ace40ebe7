"""The GIL: kept by a computing thread, by many short ones, by a C call, and by a loop that never idles."""

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from benchmarks.truth.fault import around, fault
from benchmarks.truth.faults.pools import pool
from benchmarks.truth.meter import run_queue_ns
from benchmarks.truth.on_path import compute_in_worker
from benchmarks.truth.record import Part, who
from benchmarks.truth.work import spanned
from whywait.analysis.causes import Cause

HOGS = 3
stop = threading.Event()
running: list[threading.Thread] = []


def begin(count: int, target: Callable[..., Any], *args: Any) -> None:
    """Starts threads of nobody's that run until `end`."""
    stop.clear()
    for number in range(count):
        thread = threading.Thread(target=target, args=args, name=f"{target.__name__}-{number}", daemon=True)
        running.append(thread)
        thread.start()


async def end(_: float) -> None:
    """Ends them."""
    stop.set()
    while running:
        await asyncio.to_thread(running.pop().join)


def crunch() -> None:
    """Computes in Python without end."""
    while not stop.is_set():
        sum(range(500))


@fault(
    Cause.GIL_WAIT, "threads of nobody's that compute in Python all the time",
    amounts=(8, 15, 30), unit="ms of CPU", measures="path", traffic=False, quick=True,
)  # fmt: skip
async def gil_hogs(ms: float) -> list[Part]:
    return await compute_in_worker(ms / 1_000, who(crunch))


@around(gil_hogs, end)
async def hire_hogs(_: float) -> None:
    begin(HOGS, crunch)


def crunch_briefly() -> None:
    """Computes for a few milliseconds."""
    until_ns = time.thread_time_ns() + 5_000_000
    while time.thread_time_ns() < until_ns:
        sum(range(500))


def send_short_ones() -> None:
    """Keeps several threads going that each live for some milliseconds."""
    while not stop.is_set():
        short = [threading.Thread(target=crunch_briefly, name="short") for _ in range(HOGS)]
        for thread in short:
            thread.start()
        for thread in short:
            thread.join()


@fault(Cause.GIL_WAIT, "many threads that compute for 5 ms each", amounts=(8, 15, 30), unit="ms of CPU",
       measures="path", traffic=False, quick=True)  # fmt: skip
async def gil_short_threads(ms: float) -> list[Part]:
    return await compute_in_worker(ms / 1_000, who(crunch_briefly))


@around(gil_short_threads, end)
async def hire_short_ones(_: float) -> None:
    begin(2, send_short_ones)


def call_into_c(milliseconds: float) -> None:
    """Calls a C function again and again that keeps the GIL for so long."""
    keep = ctypes.PyDLL(None).usleep
    while not stop.is_set():
        keep(int(milliseconds * 1_000))
        time.sleep(0.001)


@fault(
    Cause.GIL_WAIT, "a thread of nobody's in C calls that keep the GIL", amounts=(10, 25, 60),
    unit="ms per call", requests=(5, 4, 3), measures="path", traffic=False,
)  # fmt: skip
async def gil_in_c(ms: float) -> list[Part]:
    return await compute_in_worker(0.012, who(call_into_c))


@around(gil_in_c, end)
async def hire_caller(ms: float) -> None:
    begin(1, call_into_c, ms)


POLLERS = 10
pollers: list["asyncio.Task[None]"] = []


async def poll(microseconds: float) -> None:
    """Always has a next step."""
    while not stop.is_set():
        until_ns = perf_counter_ns() + int(microseconds * 1_000)
        while perf_counter_ns() < until_ns:
            pass
        await asyncio.sleep(0)


@spanned
def nothing() -> tuple[int, int]:
    """When it began, and the run-queue time of its thread by then."""
    return perf_counter_ns(), run_queue_ns()


@fault(
    Cause.GIL_WAIT, "a loop that never idles starves the worker thread", amounts=(50, 200, 1_000), unit="µs per step of 10 tasks",
    requests=(3, 3, 3), traffic=False,
)  # fmt: skip
async def gil_starved(_: float) -> list[Part]:
    run = asyncio.get_running_loop().run_in_executor
    queued_ns = starved_queue.pop() if starved_queue else 0
    submitted_ns = perf_counter_ns()
    began_ns, queue_ns = await run(pool("starved", 1), nothing)
    starved_queue.append(queue_ns)
    waited_ns = began_ns - submitted_ns - (queue_ns - queued_ns if queued_ns else 0)
    return [Part(Cause.GIL_WAIT, max(waited_ns, 0), who(poll))]


starved_queue: list[int] = []


async def _stop_polling(_: float) -> None:
    stop.set()
    await asyncio.gather(*pollers)
    pollers.clear()


@around(gil_starved, _stop_polling)
async def start_polling(microseconds: float) -> None:
    stop.clear()
    starved_queue.clear()
    starved_queue.append((await asyncio.get_running_loop().run_in_executor(pool("starved", 1), nothing))[1])
    pollers.extend(asyncio.get_running_loop().create_task(poll(microseconds)) for _ in range(POLLERS))
