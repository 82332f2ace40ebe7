"""A long export's transaction reads a table, an ALTER TABLE waits for it, and short reads stand behind the ALTER.

[street]
endpoint = "GET /item"
cause = "await_io"
culprit = "one"
remedy = "await_io/row_held"
needs = ["postgres"]
load = [{path = "/item", n = 160, clients = 4, pause = 0.05}, {path = "/export", n = 5, pause = 0.3},
        {path = "/default", n = 5, pause = 0.5, after = 0.15}]
"""

import contextlib
import os

import asyncpg
from fastapi import FastAPI
from stamps import now, stamp


@contextlib.asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(os.environ["STREET_POSTGRES"], min_size=8, max_size=8) as app.state.pool:
        await app.state.pool.execute("CREATE TABLE IF NOT EXISTS exported (id INTEGER PRIMARY KEY, name TEXT)")
        await app.state.pool.execute("INSERT INTO exported VALUES (1, 'chair') ON CONFLICT DO NOTHING")
        yield


app = FastAPI(lifespan=lifespan)


async def one(connection):
    return await connection.fetchval("SELECT name FROM exported WHERE id = 1")  # CULPRIT


@app.get("/item")
async def item():
    async with app.state.pool.acquire() as connection:
        since = now()
        name = await one(connection)
        stamp(since)
    return {"name": name}


@app.get("/export")
async def export():
    async with app.state.pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch("SELECT id, name FROM exported")
        await connection.execute("SELECT pg_sleep(0.6)")
    return {"rows": len(rows)}


@app.get("/default")
async def default():
    await app.state.pool.execute("ALTER TABLE exported ALTER COLUMN name SET DEFAULT ''")
    return {}
