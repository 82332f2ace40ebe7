"""A pool of processes is handed all rows for each request: nearly all of the time is pickling and unpickling.

[street]
endpoint = "GET /score"
cause = "compute"
culprit = "score"
remedy = "compute/large_transfer"
load = [{path = "/score", n = 12}]
"""

import asyncio
import contextlib
from concurrent.futures import ProcessPoolExecutor

from fastapi import FastAPI
from stamps import now, stamp

ROWS = [{"id": number, "name": f"row {number}", "features": [number, number + 1]} for number in range(60_000)]


def score(rows):
    return len(rows)


@contextlib.asynccontextmanager
async def lifespan(app):
    with ProcessPoolExecutor(1) as app.state.pool:
        await asyncio.get_running_loop().run_in_executor(app.state.pool, score, [])
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/score")
async def handle():
    since = now()
    found = await asyncio.get_running_loop().run_in_executor(app.state.pool, score, ROWS)  # CULPRIT
    stamp(since)
    return {"score": found}
