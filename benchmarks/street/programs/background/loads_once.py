"""A task begun at start-up loads what all requests need, and the server accepts meanwhile: the first ones wait for its Event.

[street]
endpoint = "GET /part"
cause = "await_io"
culprit = "warm_up"
remedy = "await_io/cold_start"
needs = ["upstream"]
load = [{path = "/part", n = 120, clients = 6, pause = 0.02}]
"""

import asyncio
import contextlib
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

parts = {}
ready = asyncio.Event()


async def warm_up(client):
    for part in range(30):
        answer = await client.get(f"{os.environ['STREET_UPSTREAM']}/50")  # CULPRIT
        parts[part] = answer.status_code
    ready.set()


@contextlib.asynccontextmanager
async def lifespan(app):
    async with httpx.AsyncClient() as client:
        task = asyncio.create_task(warm_up(client))
        yield
        task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/part")
async def part():
    since = now()
    await ready.wait()
    stamp(since)
    return {"part": parts[4]}
