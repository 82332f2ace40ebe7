"""A transaction asks another service while it holds a row: the other requests wait in the database for that row.

[street]
endpoint = "GET /sell"
cause = "await_io"
culprit = "reserve"
remedy = "await_io/(row_held|database)"
needs = ["postgres", "upstream"]
load = [{path = "/sell", n = 24, clients = 4}]
"""

import contextlib
import os

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from stamps import now, stamp

engine = create_async_engine(
    os.environ["STREET_POSTGRES"].replace("postgresql://", "postgresql+asyncpg://"), pool_size=9
)


@contextlib.asynccontextmanager
async def lifespan(app):
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS stock (id INTEGER PRIMARY KEY, rest INTEGER)"))
        await connection.execute(text("INSERT INTO stock VALUES (1, 100) ON CONFLICT DO NOTHING"))
    async with httpx.AsyncClient() as app.state.http:
        yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def reserve(connection):
    await connection.execute(text("UPDATE stock SET rest = rest - 1 WHERE id = 1"))  # CULPRIT


@app.get("/sell")
async def sell():
    since = now()
    async with engine.begin() as connection:
        await reserve(connection)
        answer = await app.state.http.get(f"{os.environ['STREET_UPSTREAM']}/40")
    stamp(since)  # its own 40 ms are await_io, too
    return {"paid": answer.status_code}
