"""Back-pressure: `await queue.put()` on a queue of three waits, since the one consumer is slow.

[street]
endpoint = "GET /event"
cause = "await_io"
culprit = "ship"
remedy = "await_io/consumer"
amount = "overlap"
load = [{path = "/event", n = 24, clients = 6}]
needs = ["upstream"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from stamps import now, stamp

queue = asyncio.Queue(maxsize=3)
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def ship(event):
    since = now()
    await client.get("/150", params={"e": event})  # CULPRIT
    stamp(since)


async def shipper():
    while True:
        await ship(await queue.get())


@asynccontextmanager
async def lifespan(app):
    task = asyncio.create_task(shipper())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/event")
async def event():
    await queue.put("click")
    return {"queued": True}
