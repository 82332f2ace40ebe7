"""Concurrent requests share one load of the same key (single flight): all of them wait for it, by the same task.

After https://github.com/long2ice/fastapi-cache/issues/203.

[street]
endpoint = "GET /profile"
cause = "await_io"
culprit = "load_profile"
remedy = "await_io(?!/stampede)"
load = [{path = "/profile", n = 48, clients = 6}]
needs = ["upstream"]
"""

import asyncio
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
loading = {}


async def load_profile(name):
    try:
        return (await client.get("/120", params={"name": name})).json()  # CULPRIT
    finally:
        del loading[name]


async def profile_of(name):
    if name not in loading:
        loading[name] = asyncio.create_task(load_profile(name))
    since = now()
    found = await asyncio.shield(loading[name])
    stamp(since)
    return found


@app.get("/profile")
async def profile():
    return await profile_of("ada")
