"""'Be nice to the upstream': an asyncio.Semaphore(2) in front of it, forgotten since.

[street]
endpoint = "GET /score"
cause = "limiter_wait"
culprit = "ask_model"
remedy = "limiter_wait"
load = [{path = "/score", n = 48, clients = 8}]
needs = ["upstream"]
"""

import asyncio
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
gate = asyncio.Semaphore(2)


async def ask_model():
    since = now()
    async with gate:  # CULPRIT
        stamp(since)
        answer = await client.get("/60")  # CULPRIT
    return answer.json()


@app.get("/score")
async def score():
    return await ask_model()
