"""Writes go in groups of four, which meet at an asyncio.Barrier: each waits for the slowest of its group to prepare.

[street]
endpoint = "GET /write"
cause = "limiter_wait"
culprit = "prepare"
remedy = "limiter_wait/signal"
load = [{path = "/write", n = 24, clients = 4}]
"""

import asyncio
from itertools import cycle

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
group = asyncio.Barrier(4)
pauses = cycle((0.002, 0.002, 0.15, 0.002))


async def prepare():
    await asyncio.sleep(next(pauses))  # CULPRIT


@app.get("/write")
async def write():
    await prepare()
    since = now()
    await group.wait()
    stamp(since)
    return {"written": True}
