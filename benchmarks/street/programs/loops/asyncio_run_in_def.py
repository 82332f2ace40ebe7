"""A `def` endpoint calls asyncio.run: the library it uses is asynchronous.

[street]
endpoint = "GET /sync"
cause = "await_io"
culprit = "pull"
remedy = "await_io"
load = [{path = "/sync", n = 12}]
needs = ["upstream"]
"""

import asyncio
import os

import aiohttp
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


async def pull():
    async with aiohttp.ClientSession() as session:
        since = now()
        async with session.get(os.environ["STREET_UPSTREAM"] + "/120") as answer:  # CULPRIT
            stamp(since)
            return await answer.json()


@app.get("/sync")
def sync():
    return asyncio.run(pull())
