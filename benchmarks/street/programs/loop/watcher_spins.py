"""A background task looks at its table again and again, with asyncio.sleep(0) between: requests take turns with it.

After https://github.com/python/asyncio/issues/398 and https://github.com/Alex4386/decky-terminal/issues/19.

[street]
endpoint = "GET /order"
cause = "loop_busy"
culprit = "due"
remedy = "loop_busy|sleep"
amount = "overlap"
load = [{path = "/order", n = 24, clients = 2}]
needs = ["redis"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

import redis.asyncio
from fastapi import FastAPI
from stamps import now, stamp

TIMERS = {number: number * 7919 % 100_003 for number in range(30_000)}


def due():
    since = now()
    found = [number for number, at in TIMERS.items() if at < 3]  # CULPRIT
    stamp(since)
    return found


async def watch():
    while True:
        due()
        await asyncio.sleep(0)


@asynccontextmanager
async def lifespan(app):
    app.state.redis = redis.asyncio.from_url(os.environ["STREET_REDIS"])
    watcher = asyncio.create_task(watch())
    yield
    watcher.cancel()
    await app.state.redis.aclose()


app = FastAPI(lifespan=lifespan)


@app.get("/order")
async def order():
    for number in range(10):
        await app.state.redis.get(f"line:{number}")
    return {"lines": 10}
