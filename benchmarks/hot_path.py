"""What tracing adds to one loop callback and to one executor job, in one process, tracer on and off in turns; what it costs
to learn when a request arrived and when its response left, beside the one system call that this needs, in turns.

python -m benchmarks.hot_path
"""

import asyncio
import platform
import socket
import statistics
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns

import uvloop

import whywait
from whywait.tracer.config import KEEP_SLOW, Config
from whywait.tracer.probes.requests.arrival import arrival_of, reading
from whywait.tracer.probes.requests.tcp_info import not_sent_bytes

CALLBACKS = 4_000
JOBS = 400
ARRIVALS = 1_000
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


async def arrivals() -> dict[str, float]:
    """The least ns of one call over the turns, by what is called: noise only adds."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        accepted.setblocking(False)
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, accepted)
        connection = transport.get_extra_info("socket")

        def alone() -> None:
            connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 56)

        def arrival() -> None:
            reading.arrival = arrival_of(transport, False)
            _, reading.arrival = reading.arrival, None
            reading.arrival = None

        def with_egress() -> None:
            arrival()
            not_sent_bytes(connection)

        calls: dict[str, Callable[[], None]] = {
            "nothing": lambda: None, "getsockopt alone": alone, "arrival": arrival,
            "arrival, and egress under Nagle's algorithm": with_egress,
        }  # fmt: skip
        found: dict[str, float] = {}
        for _ in range(3 * TURNS):
            for name, call in calls.items():
                client.sendall(b"x")  # what came just now, as most that is read has
                await asyncio.sleep(0)
                start_ns = perf_counter_ns()
                for _ in range(ARRIVALS):
                    call()
                found[name] = min(found.get(name, 1e9), (perf_counter_ns() - start_ns) / ARRIVALS)
        transport.close()
    return found


def arrival_table() -> str:
    """The cost of arrival and egress as a Markdown table, µs a request."""
    lines = ["| of a request | asyncio µs | uvloop µs |", "|---|---:|---:|"]
    found = []
    for factory in (None, uvloop.new_event_loop):
        whywait.start("bench", config=CONFIG)
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                found.append(runner.run(arrivals()))
        finally:
            whywait.stop()
    for name in list(found[0])[1:]:
        plain, quick = ((one[name] - one["nothing"]) / 1e3 for one in found)
        lines.append(f"| {name} | {plain:.2f} | {quick:.2f} |")
    return "\n".join(lines)


def table() -> str:
    """The result as a Markdown table."""
    lines = ["| | loop | untraced µs | traced µs | added µs |", "|---|---|---:|---:|---:|"]
    for name, (work, in_request) in CASES.items():
        for loop in ("asyncio", "uvloop"):
            plain, traced = measure(work, in_request, loop)
            lines.append(f"| {name} | {loop} | {plain / 1e3:.2f} | {traced / 1e3:.2f} | {(traced - plain) / 1e3:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(f"Python {platform.python_version()}\n\n{arrival_table()}\n\n{table()}")
