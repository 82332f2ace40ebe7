"""A recommender never answers in time: each request waits for the whole limit of wait_for.

[street]
endpoint = "GET /page"
cause = "await_io"
culprit = "recommended"
remedy = "await_io/time_limit"
load = [{path = "/page", n = 12, clients = 2}]
needs = ["upstream"]
"""

import asyncio
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def recommended():
    since = now()
    try:
        answer = await asyncio.wait_for(client.get("/5000"), 0.15)  # CULPRIT
    except TimeoutError:
        return []
    finally:
        stamp(since)
    return answer.json()


@app.get("/page")
async def page():
    return {"items": await recommended()}
