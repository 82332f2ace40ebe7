"""A pool of processes with max_tasks_per_child=1, "since it leaked memory": each job waits for a new interpreter, which
imports all that the service imports.

After https://github.com/blacklanternsecurity/bbot/issues/3366.

[street]
endpoint = "GET /score"
cause = "pool_startup"
culprit = "lifespan"
remedy = "a larger max_tasks_per_child"
load = [{path = "/score", n = 6}]
"""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawned, max_tasks_per_child=1) as app.state.pool:  # CULPRIT
        yield


app = FastAPI(lifespan=lifespan)


def score(asked):
    stamp(asked)
    return 7


@app.get("/score")
async def scored():
    loop = asyncio.get_running_loop()
    return {"score": await loop.run_in_executor(app.state.pool, score, now())}
