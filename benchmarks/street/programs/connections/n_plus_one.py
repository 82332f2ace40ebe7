"""N+1 queries: asyncpg is asked for each of twenty orders' lines, one short query after another.

[street]
endpoint = "GET /orders"
cause = "await_io"
culprit = "lines_of"
remedy = "await_io/serial_awaits"
load = [{path = "/orders", n = 12}]
needs = ["postgres"]
"""

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


async def lines_of(connection, order):
    since = now()
    found = await connection.fetch("SELECT pg_sleep(0.012), $1::int", order)  # CULPRIT
    stamp(since)
    return found


@app.get("/orders")
async def orders():
    async with app.state.pool.acquire() as connection:
        return {"lines": sum([len(await lines_of(connection, order)) for order in range(20)])}
