"""A small FastAPI service of several shapes, one a path, with the figures of SETTINGS (JSON)."""

import asyncio
import hashlib
import json
import logging
import os
import random
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import httpx
from fastapi import FastAPI
from opentelemetry import trace

SETTINGS: Final[dict[str, Any]] = {
    "pool": 4, "python": 1.0, "native": 1.0, "sleep": 1.0, "downstream": 1.0, "lock": True, "log": True,
    "connections": 2, "permits": 3, "together": False, "jobs": 1, "interval": 5.0, "shared": False, "early": False,
    "window": None, "size": 16, **json.loads(os.environ.get("SETTINGS", "{}")),
}  # fmt: skip
POOL: Final = ThreadPoolExecutor(SETTINGS["pool"], thread_name_prefix="work")
LOCK: Final = threading.Lock()
LOGGER: Final = logging.getLogger("slow")
TRACER: Final = trace.get_tracer("service")
SPLITS: Final = {1: (10,), 4: (1, 2, 3, 4), 6: (1, 1, 1, 2, 2, 3)}
DOWNSTREAM: Final = os.environ.get("DOWNSTREAM", "http://127.0.0.1:9")


class SlowHandler(logging.Handler):
    """Writes like a disk that takes its time."""

    def emit(self, record: logging.LogRecord) -> None:
        time.sleep(0.002)


if SETTINGS["log"]:
    LOGGER.addHandler(SlowHandler())
    LOGGER.setLevel(logging.INFO)


def compute(milliseconds: float) -> int:
    """Pure Python: holds the GIL."""
    total = 0
    for number in range(int(milliseconds * 20_000)):
        total += number & 7
    return total


def score() -> int:
    return compute(8 * SETTINGS["python"])


def digest() -> bytes:
    """Native code without the GIL."""
    return hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", int(15_000 * SETTINGS["native"]))


def fetch_report() -> None:
    time.sleep(0.02 * SETTINGS["sleep"])


def write_row() -> None:
    time.sleep(0.004)


def update_total() -> None:
    time.sleep(0.008)
    if SETTINGS["lock"]:
        with LOCK:
            write_row()
    else:
        write_row()


def log_and_fetch() -> None:
    for number in range(3):
        LOGGER.info("step %d", number)
        time.sleep(0.002)


def predict(rows: int) -> int:
    """Costs 2 ms a call and 0.25 ms a row."""
    with TRACER.start_as_current_span("predict", attributes={"rows": rows}):
        return compute(2 + 0.25 * rows)


async def in_pool(function: Callable[..., Any], *words: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(POOL, function, *words)


async def ask(path: str) -> None:
    if SETTINGS["downstream"]:
        await CLIENTS[0].get(f"{DOWNSTREAM}/{path}/{SETTINGS['downstream']}")


async def pool_sleep() -> None:
    await in_pool(fetch_report)


async def pool_python() -> None:
    await in_pool(score)


async def pool_native() -> None:
    await in_pool(digest)


async def loop_python() -> None:
    score()
    await asyncio.sleep(0.01)


async def async_lock() -> None:
    await asyncio.sleep(0.01)
    if SETTINGS["lock"]:
        async with GATES[0]:
            await asyncio.sleep(0.006)
    else:
        await asyncio.sleep(0.006)


async def semaphore() -> None:
    async with GATES[1]:
        await asyncio.sleep(0.015 * SETTINGS["sleep"])


async def thread_lock() -> None:
    await in_pool(update_total)


async def logged() -> None:
    await in_pool(log_and_fetch)


async def connections() -> None:
    await ask("quick")


async def downstream() -> None:
    if SETTINGS["together"]:
        await asyncio.gather(*(ask("slow") for _ in range(3)))
        return
    for _ in range(3):
        await ask("slow")


async def fan_out() -> None:
    await asyncio.gather(*(in_pool(fetch_report) for _ in range(4)))


async def batch() -> None:
    """Ten rows, in one job or in several of different sizes, in any order: whoever is last has the most company."""
    split = SPLITS[SETTINGS["jobs"]]
    await asyncio.gather(*(in_pool(predict, rows) for rows in random.sample(split, len(split))))


def shared_jobs() -> None:
    if SETTINGS["shared"]:
        list(POOL.map(lambda _: fetch_report(), range(4)))
        return
    with ThreadPoolExecutor(4, thread_name_prefix="own") as pool:
        list(pool.map(lambda _: fetch_report(), range(4)))


async def own_pool() -> None:
    await asyncio.to_thread(shared_jobs)


async def settle() -> None:
    await asyncio.sleep(0.012)


async def held() -> None:
    async with GATES[1]:
        await asyncio.sleep(0.008)
        if not SETTINGS["early"]:
            await settle()
    if SETTINGS["early"]:
        await settle()


async def items() -> None:
    """One to four rows, in a call of their own or by a batcher."""
    rows = random.randint(1, 4)
    if SETTINGS["window"] is None:
        await in_pool(predict, rows)
        return
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    WAITING.append((rows, answer, loop.time()))
    ARRIVED[0].set()
    await answer


async def batcher() -> None:
    """One call at a time: what has come in the window since its first rows, or `size` of them; the others wait."""
    loop = asyncio.get_running_loop()
    while True:
        ARRIVED[0].clear()
        full = sum(rows for rows, *_ in WAITING) >= SETTINGS["size"]
        left = WAITING[0][2] + SETTINGS["window"] / 1000 - loop.time() if WAITING else None
        if not full and (left is None or left > 0):
            with suppress(TimeoutError):
                await asyncio.wait_for(ARRIVED[0].wait(), left)
            continue
        taken = [WAITING.pop(0)]
        while WAITING and sum(rows for rows, *_ in [*taken, WAITING[0]]) <= SETTINGS["size"]:
            taken.append(WAITING.pop(0))
        await in_pool(predict, sum(rows for rows, *_ in taken))
        for _, answer, _ in taken:
            answer.set_result(None)


async def mixed() -> None:
    compute(1)
    await ask("quick")
    await in_pool(score)
    await in_pool(fetch_report)


SHAPES: Final[dict[str, Callable[[], Awaitable[None]]]] = {
    one.__name__: one
    for one in (
        pool_sleep, pool_python, pool_native, loop_python, async_lock, semaphore, thread_lock, logged, connections,
        downstream, fan_out, batch, mixed, own_pool, held, items,
    )
}  # fmt: skip
CLIENTS: Final[list[httpx.AsyncClient]] = []
GATES: Final[list[Any]] = []
WAITING: Final[list[tuple[int, asyncio.Future[None], float]]] = []
ARRIVED: Final[list[asyncio.Event]] = []


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    CLIENTS.append(httpx.AsyncClient(limits=httpx.Limits(max_connections=SETTINGS["connections"]), timeout=60))
    GATES.extend([asyncio.Lock(), asyncio.Semaphore(SETTINGS["permits"])])
    ARRIVED.append(asyncio.Event())
    sys.setswitchinterval(SETTINGS["interval"] / 1000)
    collector = asyncio.create_task(batcher())
    yield
    collector.cancel()
    await CLIENTS[0].aclose()


app = FastAPI(lifespan=lifespan)


@app.get("/cells/{shape}")
async def work(shape: str) -> dict[str, str]:
    await SHAPES[shape]()
    return {"shape": shape}
