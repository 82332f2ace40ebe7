"""psycopg_pool: the pool of two is used up by a function that sleeps in a transaction.

[street]
endpoint = "GET /book"
cause = "connection_wait"
culprit = "reserve"
remedy = "connection_wait"
load = [{path = "/book", n = 40, clients = 8}]
needs = ["postgres"]
"""

import os
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from psycopg_pool import AsyncConnectionPool
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    async with AsyncConnectionPool(os.environ["STREET_POSTGRES"], min_size=2, max_size=2) as pool:
        await pool.wait()
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


async def reserve(connection):
    await connection.execute("SELECT pg_sleep(0.06)")  # CULPRIT


@app.get("/book")
async def book(request: Request):
    since = now()
    async with request.app.state.pool.connection() as connection:
        stamp(since)
        await reserve(connection)
    return {"booked": True}
