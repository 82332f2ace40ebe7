"""aiolimiter: 'be polite to the geocoder': fifteen a second, and the service is asked for more.

After https://github.com/mjpieters/aiolimiter/issues/200.

[street]
endpoint = "GET /place"
cause = "await_io"
culprit = "geocode"
remedy = "await_io/rate_limit"
load = [{path = "/place", n = 24, clients = 4}]
needs = ["upstream", "aiolimiter"]
"""

import os

import httpx
from aiolimiter import AsyncLimiter
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
polite = AsyncLimiter(1, 1 / 15)


async def geocode(place):
    since = now()
    async with polite:  # CULPRIT
        stamp(since)
        return (await client.get("/5", params={"q": place})).json()


@app.get("/place")
async def place():
    return await geocode("Oslo")
