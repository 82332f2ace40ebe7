"""asyncpg: 'queries take 50 ms, requests 200': a pool of three and twelve clients.

[street]
endpoint = "GET /totals"
cause = "connection_wait"
culprit = "sum_up"
remedy = "connection_wait"
load = [{path = "/totals", n = 60, clients = 12}]
needs = ["postgres"]
"""

import os
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, Request
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(os.environ["STREET_POSTGRES"], min_size=3, max_size=3) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


async def sum_up(pool):
    since = now()
    async with pool.acquire() as connection:  # CULPRIT
        stamp(since)
        return await connection.fetchval("SELECT sum(n) FROM generate_series(1, 10) AS n, pg_sleep(0.05)")  # CULPRIT


@app.get("/totals")
async def totals(request: Request):
    return {"total": await sum_up(request.app.state.pool)}
