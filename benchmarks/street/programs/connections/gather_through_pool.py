"""'We run the twelve queries of the dashboard concurrently': through the pool's two connections.

After https://github.com/NewbieOrange/SUSTech-SQL-Project2-Public/issues/132 and
https://github.com/encode/httpx/issues/1171.

[street]
endpoint = "GET /dashboard"
cause = "connection_wait"
culprit = "count_of"
remedy = "connection_wait"
load = [{path = "/dashboard", n = 15}]
needs = ["postgres"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(os.environ["STREET_POSTGRES"], min_size=2, max_size=2) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


async def count_of(table, since):
    async with app.state.pool.acquire() as connection:  # CULPRIT
        if table == 11:  # the last that gets one: the request waits for it
            stamp(since)
        return await connection.fetchval("SELECT $1::int FROM pg_sleep(0.04)", table)  # CULPRIT


@app.get("/dashboard")
async def dashboard():
    since = now()
    return await asyncio.gather(*(count_of(table, since) for table in range(12)))
