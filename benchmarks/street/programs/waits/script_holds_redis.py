"""Reads of one key are slow now and then: Redis does one command at a time, and an endpoint of the operators' runs a script.

[street]
endpoint = "GET /profile"
cause = "await_io"
culprit = "profile"
remedy = "Make Redis.eval in clean "
load = [{path = "/profile", n = 40, clients = 4, pause = 0.05}, {path = "/clean", n = 8, pause = 0.02}]
needs = ["redis"]
"""

import os
from contextlib import asynccontextmanager

import redis.asyncio as redis
from fastapi import FastAPI
from stamps import now, stamp

store = redis.from_url(os.environ["STREET_REDIS"])
SCRIPT = "local left = 0 for one = 1, 9000000 do left = left + one % 7 end return left"


@asynccontextmanager
async def connected(_):
    pool = store.connection_pool
    for one in [await pool.get_connection() for _ in range(6)]:
        await pool.release(one)
    yield


app = FastAPI(lifespan=connected)


@app.get("/profile")
async def profile():
    since = now()
    found = await store.get("profile:7")  # CULPRIT
    stamp(since)
    return {"name": found}


@app.get("/clean")
async def clean():
    return {"left": await store.eval(SCRIPT, 0)}
