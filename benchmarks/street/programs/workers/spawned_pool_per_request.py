"""'Multiprocessing made it slower': each request makes a process pool (spawn) for two small jobs.

[street]
endpoint = "GET /thumbnails"
cause = "pool_startup"
culprit = "thumbnails_of"
remedy = "[a-z_]+/pool_per_request"
load = [{path = "/thumbnails", n = 4}]
"""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def shrink(size):
    return size // 2


async def thumbnails_of(sizes):
    loop, since = asyncio.get_running_loop(), now()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:  # CULPRIT
        jobs = [loop.run_in_executor(pool, shrink, size) for size in sizes]  # CULPRIT
        found = await asyncio.gather(*jobs)  # CULPRIT
        stamp(since)  # the jobs themselves take microseconds
    return found


@app.get("/thumbnails")
async def thumbnails():
    return await thumbnails_of([640, 800])
