"""An access token that expires is asked for anew under a lock: everybody who comes meanwhile waits for that one.

After https://github.com/Eshajha19/agri/pull/1390 (double-checked locking around the one request).

[street]
endpoint = "GET /mail"
cause = "limiter_wait"
culprit = "ask_for_token"
remedy = "limiter_wait/stampede"
load = [{path = "/mail", n = 150, clients = 6, pause = 0.03}]
needs = ["upstream"]
"""

import asyncio
import os
import time

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
lock = asyncio.Lock()
token = {"until": 0.0}


async def ask_for_token():
    await client.get("/160")  # CULPRIT
    token["until"] = time.monotonic() + 0.25


async def authorised():
    if token["until"] > time.monotonic():
        return
    since = now()
    async with lock:
        stamp(since)
        if token["until"] < time.monotonic():
            await ask_for_token()


@app.get("/mail")
async def mail():
    await authorised()
    return {"unread": 3}
