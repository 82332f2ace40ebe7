"""multiprocessing.Pool.apply in an async endpoint: the loop stands until the process has answered.

[street]
endpoint = "GET /score"
cause = "blocking_io"
culprit = "scored"
remedy = "to_thread|run_in_executor"
load = [{path = "/score", n = 12}]
"""

import multiprocessing
import time
from contextlib import asynccontextmanager

from fastapi import FastAPI
from stamps import now, stamp


def score(number):
    time.sleep(0.09)
    return number


@asynccontextmanager
async def lifespan(app):
    with multiprocessing.get_context("spawn").Pool(1) as app.state.pool:
        app.state.pool.apply(score, (1,))
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/score")
async def scored():
    since = now()
    found = app.state.pool.apply(score, (3,))  # CULPRIT
    stamp(since)
    return {"score": found}
