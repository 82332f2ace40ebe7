"""Spikes every quarter of a second: a background task sends what was collected while it holds the collector's lock.

After https://github.com/cognizant-ai-lab/neuro-san/issues/1217 and https://github.com/danieldeer/seriousdb/pull/84.

[street]
endpoint = "GET /track"
cause = "limiter_wait"
culprit = "flush"
remedy = "Do not wait while|limiter_wait"
load = [{path = "/track", n = 90, clients = 3, pause = 0.02}]
needs = ["upstream"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from stamps import now, stamp

collector = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
lock = asyncio.Lock()
events = []


async def flush():
    async with lock:
        await collector.get("/150", params={"n": len(events)})  # CULPRIT
        events.clear()


async def flusher():
    while True:
        await asyncio.sleep(0.1)
        await flush()


@asynccontextmanager
async def lifespan(app):
    task = asyncio.create_task(flusher())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/track")
async def track():
    since = now()
    async with lock:
        stamp(since)
        events.append("click")
    return {"tracked": True}
