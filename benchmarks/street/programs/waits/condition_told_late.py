"""Requests wait on an asyncio.Condition until a background task has polled new prices from an upstream.

[street]
endpoint = "GET /next"
cause = "await_io"
culprit = "poll"
remedy = "await_io"
load = [{path = "/next", n = 24, clients = 3}]
needs = ["upstream"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from stamps import now, stamp

client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
changed = asyncio.Condition()


async def poll():
    await client.get("/90")  # CULPRIT


async def poller():
    while True:
        await poll()
        async with changed:
            changed.notify_all()


@asynccontextmanager
async def lifespan(app):
    task = asyncio.create_task(poller())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/next")
async def following():
    since = now()
    async with changed:
        await changed.wait()
    stamp(since)
    return {"price": 7}
