"""What tracing adds to one loop callback and to one executor job, in one process, tracer on and off in turns; what it costs
to learn when a request arrived and when its response left, beside the one system call that this needs, in turns.

python -m benchmarks.hot_path              callbacks, steps and jobs
python -m benchmarks.hot_path --arrivals   arrival and egress with either core; writes benchmarks/results/arrival.md
"""

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any, Final

import uvloop

import whywait
from benchmarks.truth.conditions import conditions
from whywait.tracer.config import KEEP_SLOW, Config
from whywait.tracer.host.code_location import Place, Site
from whywait.tracer.host.native.native_core import NATIVE, PYTHON, WANTED
from whywait.tracer.hotpath import core
from whywait.tracer.probes.requests.arrival import arrival_of, reading
from whywait.tracer.probes.requests.egress import leave_kernel

CALLBACKS = 4_000
JOBS = 400
ARRIVALS = 1_000
TURNS = 15
PROCESSES = 3  # of each core
GOAL_US = 2
LOOPS = ("asyncio", "uvloop")
SITE: Final = Site(Place("send", __file__, 1), "egress", "server")
ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "benchmarks" / "results" / "arrival.md"
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

        response: Any = SimpleNamespace(end_ns=1)

        def with_egress() -> None:
            arrival()
            leave_kernel(response, transport, response.end_ns, SITE, int)

        calls: dict[str, Callable[[], None]] = {
            "nothing": lambda: None, "getsockopt alone": alone, "arrival": arrival,
            "arrival and egress": with_egress,
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


def arrivals_on(loop: str) -> dict[str, float]:
    """`arrivals` in a session on this loop."""
    whywait.start("bench", config=CONFIG)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else None) as runner:
            return runner.run(arrivals())
    finally:
        whywait.stop()


def arrivals_of(name: str) -> dict[str, dict[str, float]]:
    """`arrivals` on both loops, in a process of its own with the core of this name."""
    command = [sys.executable, "-m", "benchmarks.hot_path", "--once"]
    ran = subprocess.run(
        command, cwd=ROOT, env=os.environ | {WANTED: name}, capture_output=True, text=True, check=True
    )  # fmt: skip
    told = json.loads(ran.stdout)
    if told.pop("core") != name:
        raise SystemExit(f"the {name} core does not run here: see `whywait doctor`")
    return dict(told)


def arrival_page() -> str:
    """What arrival and egress cost a request, both cores in turns, against the goal: a Markdown page."""
    found: dict[str, list[dict[str, dict[str, float]]]] = {NATIVE: [], PYTHON: []}
    for _ in range(PROCESSES):
        for name, of in found.items():
            of.append(arrivals_of(name))
    here = conditions(("uvloop",))
    lines = [
        "# What it costs to learn when a request arrived, and when its response left", "",
        f"`python -m benchmarks.hot_path --arrivals`: {PROCESSES} processes of each core in turns, one connection; the least of",
        f"all turns, less an empty call. {here['day']}, Python {here['python']}, {here['cpus']} CPUs, {here['system']};",
        f"load average at the end {', '.join(map(str, here['load']))}. The goal is at most {GOAL_US} µs a request.", "",
        "| of a request, µs | " + " | ".join(f"{loop}, {one} core" for loop in LOOPS for one in found) + " |",
        "|---|" + "---:|" * len(LOOPS) * len(found),
    ]  # fmt: skip
    for name in list(found[NATIVE][0][LOOPS[0]])[1:]:
        values = [
            min((one[loop][name] - one[loop]["nothing"]) / 1e3 for one in of) for loop in LOOPS for of in found.values()
        ]
        lines.append(f"| {name} | " + " | ".join(f"{one:.2f}" for one in values) + " |")
    return "\n".join(lines) + "\n"


def table() -> str:
    """The result as a Markdown table."""
    lines = ["| | loop | untraced µs | traced µs | added µs |", "|---|---|---:|---:|---:|"]
    for name, (work, in_request) in CASES.items():
        for loop in LOOPS:
            plain, traced = measure(work, in_request, loop)
            lines.append(f"| {name} | {loop} | {plain / 1e3:.2f} | {traced / 1e3:.2f} | {(traced - plain) / 1e3:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Prints or writes what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hot_path", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--arrivals", action="store_true", help="of arrival and egress, as a page in benchmarks/results"
    )
    parser.add_argument("--once", action="store_true", help="of arrival and egress with this process's core, as JSON")
    options = parser.parse_args()
    if options.once:
        print(json.dumps({"core": core.name, **{loop: arrivals_on(loop) for loop in LOOPS}}))
    elif options.arrivals:
        page = arrival_page()
        PAGE.write_text(page)
        print(page)
    else:
        print(f"Python {platform.python_version()}\n\n{table()}")


if __name__ == "__main__":
    main()
