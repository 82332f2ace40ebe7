"""Steady load for a while: does memory, threads or descriptors of the traced service or its sampler grow?

python -m benchmarks.soak --minutes 30 > benchmarks/results/soak.md
python -m benchmarks.soak --draw benchmarks/results/soak.md       the curves anew, from the page's table
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import command
from demo_service.driver.server_process import ServerPlan, running
from demo_service.load import Bounds, drive
from testbed.sampler_process import samplers_of

MODES: Final = ("microbatch", "batch", "to_thread", "per_request_pool")
WARM_UP_S: Final = 120.0
HEADINGS: Final = "| s | requests | memory MiB | threads | descriptors | sampler MiB |"
CURVES: Final = "## Curves"
POINTS: Final = 24  # of a curve
STEP_S: Final = 20.0
REST_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class Reading:
    """The service's process and its sampler at one time."""

    at_s: float
    requests: int
    rss_mib: float
    threads: int
    descriptors: int
    sampler_mib: float


def read(process_id: int, sampler_id: int | None, at_s: float, requests: int) -> Reading:
    """What /proc says now."""
    status = _status(process_id)
    sampler = _status(sampler_id) if sampler_id is not None else {}
    return Reading(
        at_s, requests, status["VmRSS"] / 1024, status["Threads"], len(os.listdir(f"/proc/{process_id}/fd")),
        sampler.get("VmRSS", 0) / 1024,
    )  # fmt: skip


def _status(process_id: int) -> dict[str, int]:
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    words = [line.split() for line in lines if line.startswith(("VmRSS:", "Threads:"))]
    return {one[0].rstrip(":"): int(one[1]) for one in words}


def _find(word: str, also: str) -> int | None:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                said = Path(f"/proc/{name}/cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            if word in said and also in said:
                return int(name)
    return None


async def load(url: str, until_s: float, process_id: int, sampler_id: int | None) -> list[Reading]:
    """Drives one mode after the other with four clients and rests, and reads in between."""
    begun_s, requests, readings = time.monotonic(), 0, []
    number = 0
    while time.monotonic() < until_s:
        mode = MODES[number % len(MODES)]
        number += 1
        requests += len((await drive(url, mode, 4, Bounds(STEP_S, 10**9), seed=number)).latencies_ns)
        await asyncio.sleep(REST_S)
        readings.append(read(process_id, sampler_id, time.monotonic() - begun_s, requests))
        print(readings[-1], file=sys.stderr, flush=True)
    return readings


def curves(readings: Sequence[Reading]) -> str:
    """Pure: memory, and threads and descriptors, over the minutes, as charts that the page's reader draws."""
    chosen = readings[:: max(len(readings) // POINTS, 1)]
    minutes = ", ".join(f"{one.at_s / 60:.0f}" for one in chosen)

    def chart(title: str, unit: str, lines: Sequence[Sequence[float]]) -> str:
        most = max(max(line) for line in lines) * 1.2
        drawn = "\n".join(f"    line [{', '.join(f'{value:.1f}' for value in line)}]" for line in lines)
        return (
            f'```mermaid\nxychart-beta\n    title "{title}"\n    x-axis "minutes" [{minutes}]\n'
            f'    y-axis "{unit}" 0 --> {most:.0f}\n{drawn}\n```\n'
        )

    memory = chart("Memory of the service, and of its sampler", "MiB",
                   [[one.rss_mib for one in chosen], [one.sampler_mib for one in chosen]])  # fmt: skip
    numbers = chart("Descriptors (above) and threads of the service", "number",
                    [[float(one.descriptors) for one in chosen], [float(one.threads) for one in chosen]])  # fmt: skip
    return f"{CURVES}\n\n{memory}\n{numbers}"


def readings_of(page: str) -> list[Reading]:
    """Pure: the table of a page that was printed before; ValueError where there is none."""
    rows = page.partition(HEADINGS)[2].splitlines()[2:]
    found = []
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) != 6:
            break
        at_s, requests, rss, threads, descriptors, sampler = cells
        found.append(Reading(float(at_s), int(requests), float(rss), int(threads), int(descriptors), float(sampler)))
    if not found:
        raise ValueError(f"no table that begins with {HEADINGS}")
    return found


def draw(path: Path) -> None:
    """Puts the curves of a page's table at its end, instead of those that stand there."""
    page = path.read_text().partition(CURVES)[0].rstrip()
    path.write_text(f"{page}\n\n{curves(readings_of(page))}")


def main() -> int:
    """Runs the load and prints the page; 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--draw", type=Path, metavar="PAGE")
    options = parser.parse_args()
    if options.draw is not None:
        draw(options.draw)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        traces = Path(folder) / "traces"
        traces.mkdir()
        plan = ServerPlan(0, "asyncio", traces, Path(folder) / "server.log", {})
        with running(plan, lambda: None) as url:
            service = _find("demo_service.app:app", url.rsplit(":", 1)[1])
            assert service is not None
            sampler = next(iter(samplers_of(service)), None)
            until_s = time.monotonic() + options.minutes * 60
            readings = asyncio.run(load(url, until_s, service, sampler))
        written_mib = sum(one.stat().st_size for one in traces.iterdir()) / 2**20
    warm = [one for one in readings if one.at_s >= WARM_UP_S] or readings
    half = len(warm) // 2
    print("# Steady load: what grows\n")
    print(
        f"Made by `python -m benchmarks.soak --minutes {options.minutes:g}`: four clients in turn at {', '.join(MODES)}, "
        f"{STEP_S:g} s each with {REST_S:g} s of rest; every span kept ({written_mib:.0f} MiB of traces).\n"
    )
    print(command.machine())
    print(
        f"- {readings[-1].requests} requests. After {WARM_UP_S:g} s of warm-up, highest of the first half → of the second: "
        f"memory {max(one.rss_mib for one in warm[:half]):.1f} → {max(one.rss_mib for one in warm[half:]):.1f} MiB, "
        f"threads {max(one.threads for one in warm[:half])} → {max(one.threads for one in warm[half:])}, "
        f"descriptors {max(one.descriptors for one in warm[:half])} → {max(one.descriptors for one in warm[half:])}, "
        f"sampler {max(one.sampler_mib for one in warm[:half]):.1f} → {max(one.sampler_mib for one in warm[half:]):.1f} MiB.\n"
    )
    print(f"{HEADINGS}\n|---:|---:|---:|---:|---:|---:|")
    for one in readings:
        print(
            f"| {one.at_s:.0f} | {one.requests} | {one.rss_mib:.1f} | {one.threads} | {one.descriptors} | {one.sampler_mib:.1f} |"
        )
    print(f"\n{curves(readings)}", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
