"""Each request holds a connection and acquires a second one: with as many requests as connections nobody goes on.

After https://github.com/nsidnev/fastapi-realworld-example-app/issues/64.

[street]
endpoint = "GET /order"
cause = "connection_wait"
culprit = "next_number"
remedy = "wait_cycle|Break the cycle"
load = [{path = "/order", n = 15, clients = 3}]
needs = ["postgres"]
"""

import os
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(os.environ["STREET_POSTGRES"], min_size=3, max_size=3) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


async def next_number():
    since = now()
    try:
        async with app.state.pool.acquire(timeout=0.4) as connection:  # CULPRIT
            stamp(since)
            return await connection.fetchval("SELECT 8")
    except TimeoutError:
        stamp(since)
        raise


@app.get("/order")
async def order():
    async with app.state.pool.acquire() as connection, connection.transaction():
        await connection.fetchval("SELECT pg_sleep(0.01)")
        try:
            return {"number": await next_number()}
        except TimeoutError:
            return JSONResponse({"error": "no connection"}, 503)
