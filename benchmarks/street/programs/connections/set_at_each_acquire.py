"""The pool's `setup` sends three SETs, one after another, each time a connection is acquired: on a database that is some
milliseconds away they take longer than the query.

[street]
endpoint = "GET /orders"
cause = "await_io"
culprit = "prepare"
remedy = "await_io/serial_awaits"
load = [{path = "/orders", n = 20, clients = 2}]
needs = ["far_postgres", "asyncpg"]
"""

import os
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI
from stamps import now, stamp

SETTINGS = ("timezone = 'UTC'", "statement_timeout = 5000", "search_path = public")


async def prepare(connection):
    for setting in SETTINGS:
        await connection.execute(f"SET {setting}")  # CULPRIT


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(
        os.environ["STREET_FAR_POSTGRES"], min_size=4, max_size=4, setup=prepare
    ) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/orders")
async def orders():
    since = now()
    async with app.state.pool.acquire() as connection:
        number = await connection.fetchval("SELECT 3")
    stamp(since)
    return {"orders": number}
