"""A service of the story's shape, written as its author wrote it: seven pods, two pipelines, and a timestamp for each phase
in the log. It knows nothing of whywait, and stamps how long it predicts by two clocks of its own."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pandas as pd
from fastapi import FastAPI, Request
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBRegressor

TARGETS = ("ttft", "tpot")
NUMBERS = [f"feature_{number}" for number in range(8)]
log = logging.getLogger("cold")
pipelines: dict[str, Pipeline] = {}
stamps: list[tuple[int, int]] = []  # of each call of predict: by the clock on the wall, and CPU time of its thread
pools: list[ThreadPoolExecutor] = []


def frame_of(pods: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(pods, columns=NUMBERS)


def fitted(seed: int) -> Pipeline:
    rows = np.random.default_rng(seed).random((200, len(NUMBERS)))
    pods = pd.DataFrame(rows, columns=NUMBERS)
    model = XGBRegressor(n_estimators=20, max_depth=4, n_jobs=1)
    return Pipeline([("scale", StandardScaler()), ("model", model)]).fit(pods, rows.sum(axis=1))


def pool_of(workers: int) -> ThreadPoolExecutor:
    pools.append(ThreadPoolExecutor(workers, "asyncio"))
    return pools[-1]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    handler = logging.FileHandler(os.devnull)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    pipelines.update({target: fitted(seed) for seed, target in enumerate(TARGETS)})
    predict([dict.fromkeys(NUMBERS, 0.5)], TARGETS)
    asyncio.get_running_loop().set_default_executor(pool_of(6))
    yield
    for pool in pools:
        pool.shutdown()


app = FastAPI(lifespan=lifespan)


def predict(pods: list[dict[str, Any]], targets: tuple[str, ...]) -> list[list[float]]:
    wall_ns, own_ns = time.perf_counter_ns(), time.thread_time_ns()
    began = time.time()
    frame = frame_of(pods)
    log.info("frame built in %.3f ms", 1e3 * (time.time() - began))
    answers = [[float(value) for value in pipelines[target].predict(frame)] for target in targets]
    log.info("predicted %d rows in %.3f ms", len(pods), 1e3 * (time.time() - began))
    stamps.append((time.perf_counter_ns() - wall_ns, time.thread_time_ns() - own_ns))
    return answers


@app.post("/to_thread")
async def to_thread(request: Request) -> list[Any]:
    pods = await request.json()
    began = time.time()
    jobs = [asyncio.to_thread(predict, [pod], (target,)) for pod in pods for target in TARGETS]
    answers = await asyncio.gather(*jobs)
    log.info("gathered in %.3f ms", 1e3 * (time.time() - began))
    return answers


@app.post("/pool_per_request")
async def pool_per_request(request: Request) -> list[Any]:
    pods, loop = await request.json(), asyncio.get_running_loop()
    with ThreadPoolExecutor(14) as pool:
        jobs = [loop.run_in_executor(pool, predict, [pod], (target,)) for pod in pods for target in TARGETS]
        return await asyncio.gather(*jobs)


@app.post("/batch")
async def batch(request: Request) -> list[Any]:
    return await asyncio.to_thread(predict, await request.json(), TARGETS)


@app.get("/set")
async def settings(workers: int = 6, interval: float = 0.005, logged: bool = True) -> None:
    """What the author tried one after another."""
    asyncio.get_running_loop().set_default_executor(pool_of(workers))
    sys.setswitchinterval(interval)
    log.disabled = not logged


@app.get("/stamps")
async def taken() -> list[tuple[int, int]]:
    found = list(stamps)
    stamps.clear()
    return found


@app.get("/idle")
async def idle() -> str:
    return "nothing to do"
