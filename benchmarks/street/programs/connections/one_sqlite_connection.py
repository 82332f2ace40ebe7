"""aiosqlite: one connection for all requests is one thread: a look-up waits until the report's query has ended.

After https://github.com/omnilib/aiosqlite/issues/7.
(The truth was first declared as await_io; a queue before the one thread is what the causes call pool_queue.)

[street]
endpoint = "GET /item"
cause = "pool_queue"
culprit = "totals"
remedy = "pool_queue"
load = [{path = "/item", n = 30, clients = 2, pause = 0.02, after = 0.1}, {path = "/report", n = 14, clients = 2}]
needs = ["aiosqlite"]
"""

from contextlib import asynccontextmanager

import aiosqlite
from fastapi import FastAPI
from stamps import now, stamp

MANY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000) SELECT sum(i * 7 % 5) FROM n"


@asynccontextmanager
async def lifespan(app):
    async with aiosqlite.connect(":memory:") as app.state.db:
        yield


app = FastAPI(lifespan=lifespan)


async def totals():
    return await app.state.db.execute_fetchall(MANY)  # CULPRIT


@app.get("/report")
async def report():
    return {"totals": next(iter(await totals()))[0]}


async def find(number):
    since = now()
    found = await app.state.db.execute_fetchall("SELECT ?", (number,))
    stamp(since)
    return next(iter(found))[0]


@app.get("/item")
async def item():
    return {"item": await find(3)}
