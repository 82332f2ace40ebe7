"""Server-sent events with gaps: the subscriber awaits its queue, the publisher asks a slow upstream for each event.

[street]
endpoint = "GET /events"
cause = "await_io"
culprit = "next_price"
remedy = "await_io"
load = [{path = "/events", n = 6, clients = 2}]
needs = ["upstream"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from stamps import now, stamp

client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
subscribers = set()


async def next_price():
    return (await client.get("/90")).text  # CULPRIT


async def publisher():
    while True:
        price = await next_price()
        for queue in list(subscribers):
            queue.put_nowait(price)


@asynccontextmanager
async def lifespan(app):
    task = asyncio.create_task(publisher())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


async def prices():
    queue = asyncio.Queue()
    subscribers.add(queue)
    try:
        for _ in range(4):
            since = now()
            price = await queue.get()
            stamp(since)
            yield f"data: {price}\n\n"
    finally:
        subscribers.discard(queue)


@app.get("/events")
async def events():
    return StreamingResponse(prices(), media_type="text/event-stream")
