r"""anyio.CapacityLimiter(1) around a call of a service: one at a time.

[street]
endpoint = "GET /sign"
cause = "limiter_wait"
culprit = "sign"
remedy = 'Raise the limit \((?!anyio\.to_thread)'
load = [{path = "/sign", n = 36, clients = 6}]
needs = ["upstream"]
"""

import os

import anyio
import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
limiter = anyio.CapacityLimiter(1)


async def sign():
    since = now()
    async with limiter:  # CULPRIT
        stamp(since)
        return (await client.get("/30")).json()  # CULPRIT


@app.get("/sign")
async def signed():
    return await sign()
