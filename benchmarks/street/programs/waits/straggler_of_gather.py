"""asyncio.gather of three services: two answer in 30 ms, and the page waits for the third.

After https://github.com/cooperlees/peerme/pull/26.

[street]
endpoint = "GET /product"
cause = "await_io"
culprit = "reviews_of"
remedy = "await_io"
load = [{path = "/product", n = 20, clients = 2}]
needs = ["upstream"]
"""

import asyncio
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def price_of(product):
    return (await client.get("/30")).json()


async def stock_of(product):
    return (await client.get("/25")).json()


async def reviews_of(product):
    since = now()
    answer = await client.get("/180")  # CULPRIT
    stamp(since)
    return answer.json()


@app.get("/product")
async def product():
    found = await asyncio.gather(price_of(1), reviews_of(1), stock_of(1))
    return {"parts": len(found)}
