"""A cache that is refilled under one asyncio.Lock: all requests queue for it, one after another.

[street]
endpoint = "GET /user"
cause = "limiter_wait"
culprit = "load_profile"
remedy = "Do not wait while"
load = [{path = "/user", n = 42, clients = 6}]
needs = ["postgres"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, Request
from stamps import now, stamp

lock = asyncio.Lock()


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(os.environ["STREET_POSTGRES"], min_size=10, max_size=10) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


async def load_profile(pool):
    return await pool.fetchval("SELECT 1 FROM pg_sleep(0.04)")  # CULPRIT


@app.get("/user")
async def user(request: Request):
    since = now()
    async with lock:
        stamp(since)
        return {"profile": await load_profile(request.app.state.pool)}
