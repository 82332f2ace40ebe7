"""What is asked of the service: kinds of work in turn, four clients each."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import httpx

from demo_service.load import drive
from demo_service.plan import Bounds

MODES: Final = ("microbatch", "batch", "to_thread", "per_request_pool")
PATHS: Final = ("/threads", "/fork", "/child", "/pool", "/stream", "/stream, left half-way")
CLIENTS: Final = 4
PAUSE_S: Final = 0.05  # of a client between two requests that are no predictions
HALF: Final = 50_000  # bytes of a stream after which its client leaves


async def work(url: str, seconds: float, rest_s: float, until_s: float, after: Callable[[int], None]) -> None:
    """Drives one kind after the other, each `seconds` long with `rest_s` after it, until `time.monotonic()` is
    `until_s`; calls `after` with the number of answers so far after each."""
    answers, turn = 0, 0
    kinds: Sequence[str] = (*MODES, *PATHS)
    while time.monotonic() < until_s:
        kind = kinds[turn % len(kinds)]
        turn += 1
        if kind in MODES:
            answers += len((await drive(url, kind, CLIENTS, Bounds(seconds, 10**9), seed=turn)).latencies_ns)
        else:
            answers += sum(await asyncio.gather(*[_ask(url, kind, seconds) for _ in range(CLIENTS)]))
        await asyncio.sleep(rest_s)
        after(answers)


async def _ask(url: str, kind: str, seconds: float) -> int:
    """How many requests one client was answered in so long; raises `httpx.HTTPError` where one failed."""
    path, _, leaves = kind.partition(",")
    answered, until_s = 0, time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        while time.monotonic() < until_s:
            async with client.stream("GET", path) as answer:
                answer.raise_for_status()
                read = 0
                async for part in answer.aiter_raw():
                    read += len(part)
                    if leaves and read > HALF:
                        break
            answered += 1
            await asyncio.sleep(PAUSE_S)
    return answered
