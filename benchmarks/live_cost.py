"""What following a service costs: CPU of `whywait top` and `whywait metrics` beside the demo, and what it does to it.

python -m benchmarks.live_cost --out benchmarks/results/live.md

Turns without and with a follower alternate. The follower's CPU is what /proc says of its process, from when it
has started (its imports are told apart) to the end of the load.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import command
from demo_service.driver.server_process import ServerPlan, running
from demo_service.load import drive
from demo_service.plan import Bounds

CLIENTS: Final = 4
START_S: Final = 6.0  # imports and the first look
TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
FOLLOWERS: Final = {"nobody": (), "top": ("--seconds", "10"), "metrics": ("--send", "http://127.0.0.1:9")}


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of load."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu: float  # of a core
    memory_mib: float
    start_cpu_s: float
    written_mib_per_s: float


def cpu_s(process_id: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def peak_mib(process_id: int) -> float:
    """The most memory that a process had."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith("VmHWM:")) / 1024


def measure(url: str, mode: str, follower: str, traces: Path, seconds: float) -> Turn:
    """One turn: start the follower, load, stop it."""
    process = None
    if follower != "nobody":
        command = [sys.executable, "-m", "whywait", follower, str(traces), *FOLLOWERS[follower]]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(START_S)
    started_s = cpu_s(process.pid) if process else 0.0
    size, begun_s = _size(traces), time.monotonic()
    result = asyncio.run(drive(url, mode, CLIENTS, Bounds(seconds, 10**9)))
    taken_s = time.monotonic() - begun_s
    used_s = cpu_s(process.pid) - started_s if process else 0.0
    memory = peak_mib(process.pid) if process else 0.0
    written = (_size(traces) - size) / 2**20 / taken_s
    if process:
        process.terminate()
        process.wait(30)
    return Turn(
        result.requests_per_s, result.percentile_ns(0.5) / 1e6, result.percentile_ns(0.99) / 1e6,
        used_s / taken_s, memory, started_s, written,
    )  # fmt: skip


def _size(traces: Path) -> int:
    return sum(one.stat().st_size for one in traces.iterdir())


def cell(mode: str, keep: str, turns: int, seconds: float) -> list[str]:
    """The rows of one mode and setting."""
    found: dict[str, list[Turn]] = {name: [] for name in FOLLOWERS}
    with tempfile.TemporaryDirectory() as folder:
        traces = Path(folder) / "traces"
        traces.mkdir()
        plan = ServerPlan(0, "asyncio", traces, Path(folder) / "server.log", {"WHYWAIT_KEEP": keep})
        with running(plan, lambda: None) as url:
            asyncio.run(drive(url, mode, CLIENTS, Bounds(5, 10**9)))
            for number in range(turns):
                for follower in FOLLOWERS:
                    found[follower].append(measure(url, mode, follower, traces, seconds))
                    print(mode, keep, number, follower, found[follower][-1], file=sys.stderr, flush=True)

    def middle(turns: list[Turn], of: Callable[[Turn], float]) -> float:
        return statistics.median(map(of, turns))

    return [
        f"| {mode} | {keep} | {name} | {middle(some, lambda one: one.requests_per_s):.0f} "
        f"({min(one.requests_per_s for one in some):.0f}–{max(one.requests_per_s for one in some):.0f}) "
        f"| {middle(some, lambda one: one.p50_ms):.1f} | {middle(some, lambda one: one.p99_ms):.1f} "
        f"| {middle(some, lambda one: one.written_mib_per_s):.2f} "
        + (
            f"| {middle(some, lambda one: one.cpu):.1%} | {max(one.memory_mib for one in some):.0f} "
            f"| {middle(some, lambda one: one.start_cpu_s):.1f} |"
            if name != "nobody"
            else "| | | |"
        )
        for name, some in found.items()
    ]


def main() -> int:
    """Runs it and writes the page; 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_cost")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=12.0)
    command.takes_out(parser)
    options = parser.parse_args()
    rows = [
        row
        for mode, keep in (("microbatch", "all"), ("microbatch", "slow"), ("to_thread", "all"))
        for row in cell(mode, keep, options.turns, options.seconds)
    ]
    page = "\n".join(
        [
            "# What following a service costs",
            "",
            f"Made by `python -m benchmarks.live_cost --turns {options.turns} --seconds {options.seconds:g}`: the demo service "
            f"under {CLIENTS} clients that never pause, on the same machine as client and follower; {options.turns} turns each of "
            "nobody, `whywait top` and `whywait metrics` (no collector there) in alternation; medians, highest memory.",
            "",
            command.machine_and_load(),
            "",
            "The follower lets everything else go first (nice 10). Where the ranges of requests/s overlap, nothing is shown to "
            "have changed.",
            "",
            "| mode | `WHYWAIT_KEEP` | follower | requests/s (range) | p50 ms | p99 ms | traces MiB/s | its CPU, of a core | its memory MiB "
            "| CPU s to start |",
            "|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
            *rows,
        ]
    )
    command.publish(page, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
