"""All sessions are counted by a SCAN of the keys: ten keys, or so, a round trip.

[street]
endpoint = "GET /online"
cause = "await_io"
culprit = "keys_of_sessions"
remedy = "count= of the scan"
load = [{path = "/online", n = 15, clients = 3}]
needs = ["far_redis"]
"""

import os
from contextlib import asynccontextmanager

import redis.asyncio as redis
from fastapi import FastAPI
from stamps import now, stamp

store = redis.from_url(os.environ["STREET_FAR_REDIS"], decode_responses=True)


@asynccontextmanager
async def lifespan(app):
    await store.mset({f"online:{number}": "user" for number in range(200)})
    yield
    await store.aclose()


app = FastAPI(lifespan=lifespan)


async def keys_of_sessions():
    since = now()
    found = [key async for key in store.scan_iter("online:*")]  # CULPRIT
    stamp(since)
    return found


@app.get("/online")
async def online():
    return {"online": len(await keys_of_sessions())}
