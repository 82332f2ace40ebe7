"""A lock in Redis around a slow call: the others ask for it again and again, with pauses.

[street]
endpoint = "GET /book"
cause = "lock_wait"
culprit = "book_seat"
remedy = "lock_wait"
load = [{path = "/book", n = 16, clients = 4}]
needs = ["redis", "upstream"]
"""

import os

import httpx
import redis.asyncio
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
server = redis.asyncio.Redis.from_url(os.environ["STREET_REDIS"])


async def book_seat():
    since = now()
    async with server.lock("seats", sleep=0.03):
        stamp(since)
        await client.get("/60")  # CULPRIT


@app.get("/book")
async def book():
    await book_seat()
    return {"seat": 7}
