"""Sends a program its requests, and keeps when its clients began to wait and when they had their answers."""

import asyncio
import time
from collections.abc import Sequence

import httpx
import websockets

from benchmarks.street.contract import Load

Window = tuple[int, int]
"""Sent and answered, in nanoseconds of CLOCK_MONOTONIC."""


async def drive(port: int, loads: Sequence[Load]) -> list[list[Window]]:
    """The windows of each load's requests, all loads at once."""
    return list(await asyncio.gather(*(_load(port, one) for one in loads)))


async def _load(port: int, load: Load) -> list[Window]:
    await asyncio.sleep(load.after)
    if load.kind == "websocket":
        return await _messages(port, load)
    numbers, windows = iter(range(load.n)), list[Window]()

    async def client() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            for _ in numbers:
                sent = time.monotonic_ns()
                await http.get(load.path)
                windows.append((sent, time.monotonic_ns()))
                await asyncio.sleep(load.pause)

    await asyncio.gather(*(client() for _ in range(load.clients)))
    return windows


async def _messages(port: int, load: Load) -> list[Window]:
    windows = []
    async with websockets.connect(f"ws://127.0.0.1:{port}{load.path}") as socket:
        for _ in range(load.n):
            sent = time.monotonic_ns()
            await socket.send("hello")
            await socket.recv()
            windows.append((sent, time.monotonic_ns()))
            await asyncio.sleep(load.pause)
    return windows


def covered(stretches: Sequence[Window], windows: Sequence[Window]) -> int:
    """How many nanoseconds of the windows lie under any of the stretches, summed over the windows."""
    joined: list[list[int]] = []
    for begin, end in sorted(stretches):
        if joined and begin <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([begin, end])
    return sum(max(0, min(end, until) - max(begin, sent)) for sent, until in windows for begin, end in joined)
