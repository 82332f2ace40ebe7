"""A time limit of 50 ms, and requests of 200: the clean-up of what was cancelled asks a service that is slow.

After https://github.com/python/cpython/pull/7216 ("the timeout promise may be broken if the task decides to handle its
cancellation in a slow way").

[street]
endpoint = "GET /seat"
cause = "await_io"
culprit = "release_hold"
remedy = "await_io"
load = [{path = "/seat", n = 14, clients = 2}]
needs = ["upstream"]
"""

import asyncio
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def release_hold():
    await client.get("/150")  # CULPRIT


async def hold_seat():
    try:
        return (await client.get("/5000")).json()
    finally:
        await release_hold()


@app.get("/seat")
async def seat():
    since = now()
    try:
        async with asyncio.timeout(0.05):
            return await hold_seat()
    except TimeoutError:
        return {"seat": None}
    finally:
        stamp(since)  # the 50 ms of the limit too are a wait; the clean-up is three times as long
