"""`asyncio.wait_for` around a lock: the limit never fires, the one who syncs keeps the lock during two calls.

[street]
endpoint = "GET /stock"
cause = "limiter_wait"
culprit = "push"
remedy = "Do not wait while|limiter_wait"
load = [{path = "/stock", n = 36, clients = 6}]
needs = ["upstream"]
"""

import asyncio
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
shop = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
lock = asyncio.Lock()


async def push(amount):
    await shop.get("/35", params={"n": amount})  # CULPRIT


@app.get("/stock")
async def stock():
    since = now()
    await asyncio.wait_for(lock.acquire(), 5)
    stamp(since)
    try:
        await shop.get("/5")
        await push(3)
    finally:
        lock.release()
    return {"left": 3}
