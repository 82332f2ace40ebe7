"""A process computes the forecast, and hands back a dict for each step: the executor's thread makes them all anew, and
has the GIL meanwhile.

[street]
endpoint = "GET /health"
cause = "gil_wait"
culprit = "simulate"
remedy = "give back less"
amount = "overlap"
load = [{path = "/health", n = 120, pause = 0.03}, {path = "/forecast", n = 8, pause = 0.2, after = 0.2}]
"""

import asyncio
import contextlib
from concurrent.futures import ProcessPoolExecutor

from fastapi import FastAPI
from stamps import now, stamp

begun = 0


def begin():
    global begun
    begun = now()


def end():
    stamp(begun)


class Mark:
    """Unpickled by a call of a function."""

    def __init__(self, function):
        self.function = function

    def __reduce__(self):
        return self.function, ()


def simulate(steps):
    rows = [{"step": n, "value": n / 7, "between": [n, n + 1]} for n in range(steps)]
    return [Mark(begin), *rows, Mark(end)]  # CULPRIT


@contextlib.asynccontextmanager
async def lifespan(app):
    with ProcessPoolExecutor(1) as app.state.pool:
        await asyncio.get_running_loop().run_in_executor(app.state.pool, simulate, 1)
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/forecast")
async def forecast():
    rows = await asyncio.get_running_loop().run_in_executor(app.state.pool, simulate, 200_000)
    return {"steps": len(rows)}


@app.get("/health")
async def health():
    return {"ok": True}
