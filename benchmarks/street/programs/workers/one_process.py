"""One process computes for six clients: most of an answer's time is spent in its queue.

[street]
endpoint = "GET /route"
cause = "pool_queue"
culprit = "shortest"
remedy = "pool_queue/holders_compute"
load = [{path = "/route", n = 30, clients = 6}]
"""

import asyncio
import contextlib
import time
from concurrent.futures import ProcessPoolExecutor

from fastapi import FastAPI
from stamps import now, stamp


def shortest(since):
    stamp(since)
    until, total = time.process_time() + 0.05, 0
    while time.process_time() < until:
        total += sum(number * number % 7 for number in range(2_000))  # CULPRIT
    return total


@contextlib.asynccontextmanager
async def lifespan(app):
    with ProcessPoolExecutor(1) as app.state.pool:
        await asyncio.get_running_loop().run_in_executor(app.state.pool, sum, [])
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/route")
async def route():
    return {"km": await asyncio.get_running_loop().run_in_executor(app.state.pool, shortest, now())}
