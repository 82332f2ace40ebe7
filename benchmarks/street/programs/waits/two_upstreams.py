"""A price service is slow; its code awaits one upstream through httpx.

[street]
endpoint = "GET /quote"
cause = "await_io"
culprit = "rate"
remedy = "await_io"
load = [{path = "/quote", n = 20, clients = 2}]
needs = ["upstream"]
"""

import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def rate(currency):
    since = now()
    answer = await client.get("/150", params={"c": currency})  # CULPRIT
    stamp(since)
    return answer.json()


async def discount():
    answer = await client.get("/5")
    return answer.json()


@app.get("/quote")
async def quote():
    await discount()
    return {"rate": await rate("EUR")}
