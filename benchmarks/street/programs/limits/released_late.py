"""A semaphore protects the model, and is kept during the audit that follows: the model's 20 ms are not the limit.

After https://github.com/jd/tenacity/issues/254 (what stands inside the semaphore decides).

[street]
endpoint = "GET /answer"
cause = "limiter_wait"
culprit = "audit"
remedy = "limiter_wait"
load = [{path = "/answer", n = 40, clients = 8}]
needs = ["upstream"]
"""

import asyncio
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
model_slots = asyncio.Semaphore(2)


async def ask_model(question):
    return (await client.get("/15", params={"q": question})).json()


async def audit(question):
    await client.get("/70", params={"log": question})  # CULPRIT


@app.get("/answer")
async def answer():
    since = now()
    async with model_slots:
        stamp(since)
        told = await ask_model("why")
        await audit("why")
    return told
