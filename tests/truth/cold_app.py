"""A service of the story's shape, written anew: 7 pods × 2 pipelines per request, in several ways, timed by itself."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import product
from typing import Any, Final

import numpy as np
import pandas as pd
from fastapi import FastAPI
from opentelemetry import trace
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBRegressor

PODS: Final = 7
ZONES: Final = ("a", "b", "c")
LOG: Final = logging.getLogger("cold")
LOGGED: Final = os.environ.get("COLD_LOG", "1") == "1"
POOLS: Final[list[ThreadPoolExecutor]] = []
TOOK: Final[list[tuple[float, float]]] = []  # by its own timers: wall and CPU, s
PIPELINES: Final[dict[str, Pipeline]] = {}
FRAMES: Final[list[pd.DataFrame]] = []


def _frame(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    found = pd.DataFrame(random.random((rows, 12)), columns=[f"f{one}" for one in range(12)])
    return found.assign(zone=random.choice(ZONES, rows))


def _trained() -> Pipeline:
    frame = _frame(400, 1)
    number = [name for name in frame if name != "zone"]
    before = ColumnTransformer([("scale", StandardScaler(), number), ("zone", OneHotEncoder(), ["zone"])])
    model = XGBRegressor(n_estimators=30, max_depth=4, n_jobs=1)
    return Pipeline([("prepare", before), ("model", model)]).fit(frame, frame[number].sum(axis=1))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    if "COLD_SWITCH_S" in os.environ:
        sys.setswitchinterval(float(os.environ["COLD_SWITCH_S"]))
    logging.basicConfig(filename=os.devnull, level=logging.INFO)
    PIPELINES.update({target: _trained() for target in ("cpu", "memory")})
    FRAMES.extend([_frame(PODS, 2), _frame(1, 3)])
    with ThreadPoolExecutor(int(os.environ.get("COLD_POOL", "6")), "predict") as pool:
        POOLS.append(pool)
        yield


app = FastAPI(lifespan=lifespan)


def _timed(target: str, frame: pd.DataFrame) -> list[float]:
    """Predicts, and logs when each phase began and ended, as the story's author did."""
    began, cpu_began = time.perf_counter(), time.thread_time()
    with trace.get_tracer("cold").start_as_current_span("model", attributes={"rows": len(frame)}):
        found = PIPELINES[target].predict(frame)
    if LOGGED:
        TOOK.append((time.perf_counter() - began, time.thread_time() - cpu_began))
        LOG.info("predict %s began=%.6f took_ms=%.3f", target, began, (time.perf_counter() - began) * 1e3)
    return [float(one) for one in found]


def predict_cpu(frame: pd.DataFrame) -> list[float]:
    return _timed("cpu", frame)


def predict_memory(frame: pd.DataFrame) -> list[float]:
    return _timed("memory", frame)


TARGETS: Final[tuple[Callable[[pd.DataFrame], list[float]], ...]] = (predict_cpu, predict_memory)


def _jobs() -> list[tuple[Callable[[pd.DataFrame], list[float]], pd.DataFrame]]:
    return [(one, FRAMES[0].iloc[[row]]) for row, one in product(range(PODS), TARGETS)]


async def to_thread() -> list[Any]:
    return await asyncio.gather(*(asyncio.to_thread(*job) for job in _jobs()))


async def own_pool() -> list[Any]:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(PODS * 2) as pool:
        return await asyncio.gather(*(loop.run_in_executor(pool, *job) for job in _jobs()))


async def shared_pool() -> list[Any]:
    loop = asyncio.get_running_loop()
    return await asyncio.gather(*(loop.run_in_executor(POOLS[0], *job) for job in _jobs()))


async def batch() -> list[Any]:
    loop = asyncio.get_running_loop()
    return await asyncio.gather(*(loop.run_in_executor(POOLS[0], one, FRAMES[0]) for one in TARGETS))


WAYS: Final = {one.__name__: one for one in (to_thread, own_pool, shared_pool, batch)}


@app.post("/predict/{way}")
async def predict(way: str) -> int:
    return len(await WAYS[way]())


@app.post("/few/{rows}")
async def few(rows: int) -> int:
    """Some requests have fewer pods, and need one call for each target."""
    loop = asyncio.get_running_loop()
    frame = FRAMES[0].iloc[:rows]
    return len(await asyncio.gather(*(loop.run_in_executor(POOLS[0], one, frame) for one in TARGETS)))


@app.get("/took")
async def took() -> list[tuple[float, float]]:
    return TOOK


@app.get("/idle")
async def idle() -> str:
    return "nothing to do"
