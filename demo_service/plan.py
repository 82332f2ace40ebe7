"""What to drive, how long: the words of the demonstration's command, read without what the demonstration does."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

MODES: Final = ("sequential", "to_thread", "per_request_pool", "dedicated_pool", "batch", "microbatch")


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a cell ends: whichever comes first. Requests in flight are always awaited."""

    seconds: float
    requests: int
    least: int = 0  # requests, however long they take


FULL: Final = Bounds(seconds=5, requests=640)  # of a cell, with --full
SHORT: Final = Bounds(seconds=1.5, requests=192)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to drive, for how long, and where results go."""

    folder: Path
    modes: tuple[str, ...]
    clients: tuple[int, ...]
    bounds: Bounds
    port: int
    loop: str
    full: bool


def plan_of(argv: Sequence[str]) -> Plan:
    """Return what the words ask for. A wrong one ends the process with 2."""
    parser = argparse.ArgumentParser(
        prog="whywait demo",
        description="The story in one command: a service in six modes, driven, traced and explained.",
    )
    parser.add_argument("--output", type=Path, help="folder for traces and reports (whywait-demo/<time of day>)")
    parser.add_argument("--full", action="store_true", help="a longer run: more requests per cell, some minutes more")
    parser.add_argument("--seconds", type=positive_seconds, help="at most so long per cell (1.5; with --full 5)")
    parser.add_argument("--modes", type=parse_modes, default=MODES, help=f"some of {','.join(MODES)}")
    parser.add_argument("--clients", type=parse_clients, default=(1, 4, 16), help="comma-separated (1,4,16)")
    parser.add_argument("--port", type=int, default=0, help="of the service, on 127.0.0.1 (0: any free one)")
    parser.add_argument(
        "--loop", choices=("asyncio", "uvloop"), default="asyncio",
        help="the service's event loop; asyncio shows more to the tracer (%(default)s)",
    )  # fmt: skip
    options = parser.parse_args(argv)
    if not 0 <= options.port <= 65535:
        parser.error(f"argument --port: {options.port} is no port (0 to 65535)")
    bounds = FULL if options.full else SHORT
    return Plan(
        folder=options.output or Path("whywait-demo") / time.strftime("%Y%m%d-%H%M%S"),
        modes=tuple(dict.fromkeys(options.modes)),
        clients=tuple(sorted(set(options.clients))),
        bounds=replace(bounds, seconds=options.seconds or bounds.seconds),
        port=options.port,
        loop=options.loop,
        full=options.full,
    )


def parse_modes(text: str) -> tuple[str, ...]:
    """The modes named in a comma-separated list; raises `argparse.ArgumentTypeError` on others."""
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in MODES:
            raise argparse.ArgumentTypeError(f"{name!r} is no mode; expected some of {','.join(MODES)}")
    return names


def parse_clients(text: str) -> tuple[int, ...]:
    """The client counts in a comma-separated list, 1 to 256 each; raises `argparse.ArgumentTypeError`."""
    counts = []
    for part in text.split(","):
        if not part.strip().isdigit() or not 1 <= int(part) <= 256:
            raise argparse.ArgumentTypeError(f"{part.strip()!r} is no number of clients (1 to 256)")
        counts.append(int(part))
    return tuple(counts)


def positive_seconds(text: str) -> float:
    """Seconds above 0 and up to an hour; raises `argparse.ArgumentTypeError`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration in seconds (above 0, up to 3600)")
    return seconds
