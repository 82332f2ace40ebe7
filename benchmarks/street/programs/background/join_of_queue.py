"""A map's twelve tiles are put in a queue, and `queue.join()` awaits the two workers that fetch them.

After https://github.com/python-websockets/websockets/issues/807 (one loop takes what several could).

[street]
endpoint = "GET /map"
cause = "await_io"
culprit = "fetch_tile"
remedy = "await_io/consumer|await_io/serial_awaits"
load = [{path = "/map", n = 12}]
needs = ["upstream"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from stamps import now, stamp

client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
tiles = asyncio.Queue()


async def fetch_tile(tile):
    await client.get("/35", params={"t": tile})  # CULPRIT


async def worker():
    while True:
        tile = await tiles.get()
        await fetch_tile(tile)
        tiles.task_done()


@asynccontextmanager
async def lifespan(app):
    workers = [asyncio.create_task(worker()) for _ in range(2)]
    yield
    for one in workers:
        one.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/map")
async def draw_map():
    since = now()
    for tile in range(12):
        tiles.put_nowait(tile)
    await tiles.join()
    stamp(since)
    return {"tiles": 12}
