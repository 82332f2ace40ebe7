"""Each request makes an httpx.AsyncClient, which loads the TLS certificates each time.

[street]
endpoint = "GET /weather"
cause = "compute"
culprit = "weather_of"
remedy = "compute/client_per_request"
load = [{path = "/weather", n = 15}]
needs = ["upstream"]
"""

import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


async def weather_of(town):
    since = now()
    client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])  # CULPRIT
    stamp(since)
    async with client:
        return (await client.get("/1", params={"town": town})).json()


@app.get("/weather")
async def weather():
    return await weather_of("Oslo")
