"""'We score the items in parallel': asyncio.gather over coroutines that only compute.

[street]
endpoint = "GET /ranking"
cause = "compute"
culprit = "score"
remedy = "compute/computes_on_loop"
load = [{path = "/ranking", n = 12}]
"""

import asyncio
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


async def score(item):
    before = time.thread_time_ns()
    found = sum((number * item) % 97 for number in range(40_000))  # CULPRIT
    stamp(now() - (time.thread_time_ns() - before))
    return found


@app.get("/ranking")
async def ranking():
    return {"best": max(await asyncio.gather(*(score(item) for item in range(30))))}
