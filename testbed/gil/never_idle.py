"""A service whose event loop never idles, and what that does to threads: ten tasks always have a next step ready,
while requests hand a no-op to the executor."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence

import whywait

POLLERS = 10
POLL_S = 50e-6
REQUESTS = 8
MOST_S = 8.0
NAME = "a no-op in the executor"


def _nothing() -> None:
    pass


async def _poll(stop: asyncio.Event) -> None:
    while not stop.is_set():
        until_s = time.perf_counter() + POLL_S
        while time.perf_counter() < until_s:
            pass
        await asyncio.sleep(0)


async def _serve() -> list[float]:
    stop = asyncio.Event()
    pollers = [asyncio.create_task(_poll(stop)) for _ in range(POLLERS)]
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.3)
    begun_s = time.monotonic()
    took_ms: list[float] = []
    while len(took_ms) < REQUESTS and time.monotonic() - begun_s < MOST_S:
        start_s = time.perf_counter()
        with whywait.phase(NAME):
            await loop.run_in_executor(None, _nothing)
        took_ms.append(1_000 * (time.perf_counter() - start_s))
        await asyncio.sleep(0.01)
    stop.set()
    await asyncio.gather(*pollers)
    return took_ms


def main(argv: Sequence[str] | None = None) -> int:
    """Serves the requests, traced, and prints their times in milliseconds as JSON; 0."""
    parser = argparse.ArgumentParser(prog="python -m testbed.gil.never_idle", description=__doc__)
    parser.add_argument("--output", required=True, help="folder for the traces")
    parser.add_argument("--switch-interval", type=float, help="seconds, for sys.setswitchinterval (0.005)")
    options = parser.parse_args(argv)
    if options.switch_interval is not None:
        sys.setswitchinterval(options.switch_interval)
    whywait.start(service_name="never-idle", output=f"{options.output}/")
    took_ms = asyncio.run(_serve())
    whywait.stop()
    print(json.dumps(took_ms))
    return 0


if __name__ == "__main__":
    sys.exit(main())
