"""A seat is reserved by WATCH, GET and MULTI. All use one key, so that most tries meet a conflict and are made again:
round trip after round trip.

After https://github.com/redis/redis-py/issues/566.

[street]
endpoint = "GET /reserve"
cause = "await_io"
culprit = "try_once"
remedy = "await_io/serial_awaits"
load = [{path = "/reserve", n = 24, clients = 4}]
needs = ["far_redis"]
"""

import os
from contextlib import asynccontextmanager

import redis.asyncio as redis
from fastapi import FastAPI
from redis.exceptions import WatchError
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    app.state.redis = redis.from_url(os.environ["STREET_FAR_REDIS"])
    yield
    await app.state.redis.aclose()


app = FastAPI(lifespan=lifespan)


async def try_once(pipe):
    await pipe.watch("seats")  # CULPRIT
    taken = int(await pipe.get("seats") or 0)  # CULPRIT
    pipe.multi()
    pipe.set("seats", taken + 1)
    await pipe.execute()  # CULPRIT


async def reserve():
    since = now()
    async with app.state.redis.pipeline() as pipe:
        while True:
            try:
                await try_once(pipe)
                break
            except WatchError:
                continue
    stamp(since)


@app.get("/reserve")
async def book():
    await reserve()
    return {"seat": 1}
