"""A process pool is handed the whole table with each job: pickling and piping take longer than the job.

[street]
endpoint = "GET /score"
cause = "process_transfer"
culprit = ""
remedy = "process_transfer"
load = [{path = "/score", n = 8}]
"""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI
from stamps import now, stamp

TABLE = bytes(60_000_000)


def score(table, row):
    began = now()
    return began, table[row], now()


@asynccontextmanager
async def lifespan(app):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as app.state.pool:
        app.state.pool.submit(int).result()
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/score")
async def scored():
    since = now()
    found = await asyncio.get_running_loop().run_in_executor(app.state.pool, score, TABLE, 7)
    stamp(since)  # what the job takes is microseconds
    return {"score": found[1]}
