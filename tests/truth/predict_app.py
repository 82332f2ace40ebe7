"""A service whose pipeline has one step of known slowness, among quick ones."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from fastapi import FastAPI
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBRegressor

took: list[int] = []
service: dict[str, Any] = {}


class Embed(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Computes for `ms` of its thread's CPU time."""

    def __init__(self, ms: float = 0) -> None:
        self.ms = ms

    def fit(self, X: Any, y: Any = None) -> "Embed":
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        began_ns, until_ns = time.perf_counter_ns(), time.thread_time_ns() + int(self.ms * 1e6)
        while time.thread_time_ns() < until_ns:
            pass
        took.append(time.perf_counter_ns() - began_ns)
        return X


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    rows = np.random.default_rng(1).random((300, 8))
    model = XGBRegressor(n_estimators=20, n_jobs=1)
    pipeline = Pipeline([("scale", StandardScaler()), ("embed", Embed()), ("model", model)])
    service["pipeline"] = pipeline.fit(rows, rows.sum(axis=1))
    service["rows"] = rows
    with ThreadPoolExecutor(1, "predict") as pool:
        service["pool"] = pool
        pool.submit(pipeline.predict, rows).result()
        yield


app = FastAPI(lifespan=lifespan)


def predict(ms: float) -> int:
    """Nanoseconds that the slow step took by its own clock."""
    service["pipeline"].set_params(embed__ms=ms)
    took.clear()
    service["pipeline"].predict(service["rows"])
    return took[0]


@app.get("/predict")
async def answer(ms: float = 0) -> int:
    return await asyncio.get_running_loop().run_in_executor(service["pool"], predict, ms)


@app.get("/idle")
async def idle() -> str:
    return "nothing to do"
