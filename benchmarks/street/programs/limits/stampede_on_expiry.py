"""A cache with a time to live: whenever it expires all clients ask the slow upstream at once, each for itself.

[street]
endpoint = "GET /rates"
cause = "await_io"
culprit = "load_rates"
remedy = "await_io/stampede_work"
load = [{path = "/rates", n = 240, clients = 6, pause = 0.02}]
needs = ["upstream"]
"""

import os
import time

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
cache = {}


async def load_rates():
    since = now()
    answer = (await client.get("/150")).json()  # CULPRIT
    stamp(since)
    return answer


async def rates_of_today():
    if cache.get("until", 0) < time.monotonic():
        rates = await load_rates()
        cache.update(rates=rates, until=time.monotonic() + 0.25)
    return cache["rates"]


@app.get("/rates")
async def rates():
    return await rates_of_today()
