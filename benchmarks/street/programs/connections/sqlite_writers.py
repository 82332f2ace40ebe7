"""aiosqlite, a connection for each request: an insert waits until the transaction of another one is over.

[street]
endpoint = "GET /visit"
cause = "blocking_io"
culprit = "record"
remedy = "commit sooner"
load = [{path = "/visit", n = 20, clients = 2}, {path = "/import", n = 15, pause = 0.02}]
"""

import asyncio
import tempfile
from contextlib import asynccontextmanager

import aiosqlite
from fastapi import FastAPI
from stamps import now, stamp

FILE = tempfile.mkdtemp() + "/visits.db"


@asynccontextmanager
async def lifespan(app):
    async with aiosqlite.connect(FILE) as database:
        await database.execute("PRAGMA journal_mode=WAL")
        await database.execute("CREATE TABLE visits (at REAL)")
        await database.commit()
    yield


app = FastAPI(lifespan=lifespan)


async def record(database):
    since = now()
    await database.execute("INSERT INTO visits VALUES (julianday())")  # CULPRIT
    stamp(since)


@app.get("/visit")
async def visit():
    async with aiosqlite.connect(FILE, timeout=20) as database:
        await record(database)
        await database.commit()
    return {"ok": True}


@app.get("/import")
async def import_visits():
    async with aiosqlite.connect(FILE, timeout=20) as database:
        await database.execute("INSERT INTO visits VALUES (0)")
        await asyncio.sleep(0.15)  # the rest of the file is fetched
        await database.commit()
    return {"ok": True}
