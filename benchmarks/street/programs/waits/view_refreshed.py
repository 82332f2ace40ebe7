"""psycopg 3: a task of the service refreshes a materialized view, not CONCURRENTLY: whoever reads it meanwhile waits in the
database for the lock, for longer than the driver waits in one piece.

[street]
endpoint = "GET /board"
cause = "await_io"
culprit = "standing"
remedy = "await_io/database"
load = [{path = "/board", n = 90, clients = 4, pause = 0.02}]
needs = ["postgres", "psycopg_pool"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool
from stamps import now, stamp

VIEW = """
CREATE MATERIALIZED VIEW board AS
SELECT g % 50 AS team, sum(length(md5(g::text))) AS points FROM generate_series(1, 400000) g GROUP BY 1
"""


async def refresh_board(pool):
    while True:
        await asyncio.sleep(0.4)
        async with pool.connection() as connection:
            await connection.execute("REFRESH MATERIALIZED VIEW board")


@asynccontextmanager
async def lifespan(app):
    settings = {"min_size": 8, "max_size": 8, "kwargs": {"autocommit": True}}
    async with AsyncConnectionPool(os.environ["STREET_POSTGRES"], **settings) as pool:
        await pool.wait()
        async with pool.connection() as connection:
            await connection.execute("DROP MATERIALIZED VIEW IF EXISTS board")
            await connection.execute(VIEW)
        app.state.pool = pool
        task = asyncio.create_task(refresh_board(pool))
        yield
        task.cancel()


app = FastAPI(lifespan=lifespan)


async def standing(connection, team):
    since = now()
    cursor = await connection.execute("SELECT points FROM board WHERE team = %s", (team,))  # CULPRIT
    stamp(since)
    return await cursor.fetchone()


@app.get("/board")
async def board():
    async with app.state.pool.connection() as connection:
        return {"points": int((await standing(connection, 7))[0])}
