"""A synchronous HTTP client in an `async def` endpoint: one request at a time, whatever the load.

[street]
endpoint = "GET /weather"
cause = "blocking_io"
culprit = "forecast"
remedy = "blocking_io/blocks_loop"
load = [{path = "/weather", n = 12}]
needs = ["upstream"]
"""

import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.Client(base_url=os.environ["STREET_UPSTREAM"])


def forecast(city):
    since = now()
    answer = client.get("/90", params={"city": city})  # CULPRIT
    stamp(since)
    return answer.json()


@app.get("/weather")
async def weather():
    return forecast("Bergen")
