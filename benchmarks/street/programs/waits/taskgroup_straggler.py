"""A TaskGroup of three lookups: two are quick, the answer waits for the recommendations.

[street]
endpoint = "GET /home"
cause = "await_io"
culprit = "recommendations"
remedy = "await_io"
load = [{path = "/home", n = 20, clients = 2}]
needs = ["upstream"]
"""

import asyncio
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def basket():
    await client.get("/10")


async def recommendations():
    since = now()
    await client.get("/140")  # CULPRIT
    stamp(since)


@app.get("/home")
async def home():
    async with asyncio.TaskGroup() as group:
        group.create_task(basket())
        group.create_task(basket())
        group.create_task(recommendations())
    return {"ok": True}
