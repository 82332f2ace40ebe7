"""A pure ASGI middleware numbers requests under one asyncio.Lock, which it keeps during the whole request.

[street]
endpoint = "GET /ping"
cause = "limiter_wait"
culprit = "report_of"
remedy = "limiter_wait|Do not wait"
load = [{path = "/ping", n = 24, clients = 2}, {path = "/report", n = 30, clients = 2}]
needs = ["upstream"]
"""

import asyncio
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
lock = asyncio.Lock()


class Numbered:
    def __init__(self, app):
        self.app = app
        self.number = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        since = now()
        async with lock:
            if scope["path"] == "/ping":
                stamp(since)
            self.number += 1
            await self.app(scope, receive, send)


app = FastAPI()
app.add_middleware(Numbered)


async def report_of(day):
    await client.get("/60", params={"day": day})  # CULPRIT


@app.get("/report")
async def report():
    await report_of(7)
    return {"report": 1}


@app.get("/ping")
async def ping():
    return {"pong": 1}
