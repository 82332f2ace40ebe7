"""One request enriches forty items 'concurrently', through a semaphore of four.

[street]
endpoint = "GET /enrich"
cause = "limiter_wait"
culprit = "enrich"
remedy = "limiter_wait/inner_limit|Raise the limit"
amount = "overlap"
load = [{path = "/enrich", n = 6}]
needs = ["upstream"]
"""

import asyncio
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def enrich(gate, began):
    async with gate:  # CULPRIT
        stamp(began)
        await client.get("/40")  # CULPRIT


@app.get("/enrich")
async def all_of_them():
    gate, began = asyncio.Semaphore(4), now()
    await asyncio.gather(*(enrich(gate, began) for _ in range(40)))
    return {"items": 40}
