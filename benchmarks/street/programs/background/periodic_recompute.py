"""Spikes twice a second: a periodic task computes its ranking on the event loop, and a cheap endpoint waits for it.

[street]
endpoint = "GET /top"
cause = "loop_busy"
culprit = "rank"
remedy = "loop_busy"
amount = "overlap"
load = [{path = "/top", n = 150, clients = 2, pause = 0.013}]
"""

import asyncio
from contextlib import asynccontextmanager

from fastapi import FastAPI
from stamps import now, stamp

ranking = []


def rank():
    since = now()
    until = now() + 200_000_000
    while now() < until:
        ranking[:] = sorted((n * 7919) % 1009 for n in range(2_000))  # CULPRIT
    stamp(since)


async def every_half_second():
    while True:
        await asyncio.sleep(0.3)
        rank()


@asynccontextmanager
async def lifespan(app):
    task = asyncio.create_task(every_half_second())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/top")
async def top():
    return ranking[:3]
