"""What tracing itself cost: the service untraced, traced whole and with only slow requests kept, asked in turns by
one client."""

import asyncio
import statistics
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo_service.driver.interruption import run_until_interrupted
from demo_service.driver.server_process import ServerPlan, running
from demo_service.load import drive
from demo_service.plan import Bounds

MODES: Final = ("to_thread", "batch")
UNTRACED: Final = "untraced"
KEPT_ALL: Final = "every span kept"
KEPT_SLOW: Final = "slow requests kept"
VARIANTS: Final = {UNTRACED: "", KEPT_ALL: "all", KEPT_SLOW: "slow"}
_WARM_UP: Final = Bounds(seconds=5, requests=3)
_BLOCK: Final = Bounds(seconds=5, requests=4)


@dataclass(frozen=True, slots=True)
class Cost:
    """The median latency of a mode with one client, by variant, and its ratio to the untraced one's."""

    mode: str
    p50_ms: dict[str, float]
    ratio: dict[str, float]  # median over turns, each against the untraced service of the same turn

    def text(self) -> str:
        told = ", ".join(
            f"{self.p50_ms[name]:.1f} ms with {name} ({self.ratio[name]:.2f}×)" for name in VARIANTS if name != UNTRACED
        )
        return f"{self.mode} {self.p50_ms[UNTRACED]:.1f} ms untraced, {told}"


def cost_text(costs: Iterable[Cost]) -> str:
    told = "; ".join(one.text() for one in costs)
    return f"Overhead of tracing on this machine, one client, interleaved: {told}."


def measure_cost(folder: Path, loop: str, turns: int, waiting: Callable[[], None]) -> list[Cost]:
    """Runs the three services, their traces and logs below `folder`; raises ServerError or LoadError."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(running(_plan(folder, loop, name, keep), waiting))
            for name, keep in VARIANTS.items()
        }
        return run_until_interrupted(lambda: _in_turns(urls, turns))


def _plan(folder: Path, loop: str, name: str, keep: str) -> ServerPlan:
    file = name.replace(" ", "-")
    traces = folder / file if keep else None
    return ServerPlan(0, loop, traces, folder / f"{file}.log", {"WHYWAIT_KEEP": keep} if keep else {})


async def _in_turns(urls: dict[str, str], turns: int) -> list[Cost]:
    costs = []
    for mode in MODES:
        for url in urls.values():
            await drive(url, mode, 1, _WARM_UP, seed=1)
        medians: dict[str, list[float]] = {name: [] for name in urls}
        for turn in range(turns):
            for name, url in urls.items():
                seen = await drive(url, mode, 1, _BLOCK, seed=turn)
                if seen.latencies_ns:
                    medians[name].append(statistics.median(seen.latencies_ns) / 1e6)
            await asyncio.sleep(0)
        costs.append(_cost(mode, medians))
    return costs


def _cost(mode: str, medians: dict[str, list[float]]) -> Cost:
    bare = medians[UNTRACED]
    return Cost(
        mode,
        {name: statistics.median(found) for name, found in medians.items()},
        {
            name: statistics.median(own / other for own, other in zip(found, bare, strict=False))
            for name, found in medians.items()
        },
    )
