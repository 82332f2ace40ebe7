"""What tracing adds to one loop callback and to one executor job, in one process, tracer on and off in turns.

python -m benchmarks.hot_path
"""

import asyncio
import platform
import statistics
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns

import uvloop

import whywait
from whywait.tracer.config import KEEP_SLOW, Config

CALLBACKS = 4_000
JOBS = 400
TURNS = 15
# nothing is kept, so that only the hot path is on: no span is built or written meanwhile
CONFIG = Config(keep=KEEP_SLOW, slow_ns=10**15, keep_share=0.0, max_records_per_request=10**6)


async def callbacks() -> int:
    """The length in ns of a chain of callbacks, each of which schedules the next."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = CALLBACKS

    def call() -> None:
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(call)
        else:
            done.set_result(None)

    start_ns = perf_counter_ns()
    loop.call_soon(call)
    await done
    return (perf_counter_ns() - start_ns) // CALLBACKS


async def steps() -> int:
    """The length in ns of one step of a task that lets others go on."""
    start_ns = perf_counter_ns()
    for _ in range(CALLBACKS):
        await asyncio.sleep(0)
    return (perf_counter_ns() - start_ns) // CALLBACKS


async def jobs() -> int:
    """The length in ns of one awaited job of a warm pool."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        await loop.run_in_executor(pool, int)
        start_ns = perf_counter_ns()
        for _ in range(JOBS):
            await loop.run_in_executor(pool, int)
        return (perf_counter_ns() - start_ns) // JOBS


async def outside(work: Callable[[], Awaitable[int]]) -> int:
    return await work()


async def inside(work: Callable[[], Awaitable[int]]) -> int:
    with whywait.phase("request"):
        return await work()


CASES: dict[str, tuple[Callable[[], Awaitable[int]], bool]] = {
    "a callback outside any request": (callbacks, False),
    "a callback of a request": (callbacks, True),
    "a step of a request's task": (steps, True),
    "an awaited executor job of a request": (jobs, True),
}


def measure(work: Callable[[], Awaitable[int]], in_request: bool, loop: str) -> tuple[float, float]:
    """Median ns without and with the tracer, from alternating runs."""
    factory = uvloop.new_event_loop if loop == "uvloop" else None
    found: tuple[list[int], list[int]] = ([], [])
    for turn in range(2 * TURNS):
        if turn % 2:
            whywait.start("bench", config=CONFIG)
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                found[turn % 2].append(runner.run((inside if in_request else outside)(work)))
        finally:
            whywait.stop()
    return statistics.median(found[0]), statistics.median(found[1])


def table() -> str:
    """The result as a Markdown table."""
    lines = ["| | loop | untraced µs | traced µs | added µs |", "|---|---|---:|---:|---:|"]
    for name, (work, in_request) in CASES.items():
        for loop in ("asyncio", "uvloop"):
            plain, traced = measure(work, in_request, loop)
            lines.append(f"| {name} | {loop} | {plain / 1e3:.2f} | {traced / 1e3:.2f} | {(traced - plain) / 1e3:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(f"Python {platform.python_version()}\n\n{table()}")
