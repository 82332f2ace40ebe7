"""A time limit around a job in a pool: the request goes on with what it has, and the job keeps its thread, for nobody.

[street]
endpoint = "GET /near"
cause = "pool_queue"
culprit = "ranked"
remedy = "worked for nobody"
load = [{path = "/near", n = 24, pause = 0.1}, {path = "/far", n = 36, clients = 3, pause = 0.3}]
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from stamps import now, stamp

rankers = ThreadPoolExecutor(3)
app = FastAPI()


def ranked(seconds, since=None):
    if since is not None:
        stamp(since)
    time.sleep(seconds)  # CULPRIT
    return [3, 1, 2]


@app.get("/far")
async def far():
    job = asyncio.get_running_loop().run_in_executor(rankers, ranked, 0.4)
    try:
        return await asyncio.wait_for(job, 0.05)
    except TimeoutError:
        return [1, 2, 3]


@app.get("/near")
async def near():
    return await asyncio.get_running_loop().run_in_executor(rankers, ranked, 0.01, now())
