"""psycopg 3: a query without an index.

[street]
endpoint = "GET /history"
cause = "await_io"
culprit = "history_of"
remedy = "await_io"
load = [{path = "/history", n = 15, clients = 2}]
needs = ["postgres"]
"""

import os
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from psycopg_pool import AsyncConnectionPool
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    async with AsyncConnectionPool(os.environ["STREET_POSTGRES"], min_size=4, max_size=4) as pool:
        await pool.wait()
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


async def history_of(connection, user):
    since = now()
    cursor = await connection.execute("SELECT %s::int FROM pg_sleep(0.13)", (user,))  # CULPRIT
    stamp(since)
    return await cursor.fetchall()


@app.get("/history")
async def history(request: Request):
    async with request.app.state.pool.connection() as connection:
        return {"rows": await history_of(connection, 7)}
