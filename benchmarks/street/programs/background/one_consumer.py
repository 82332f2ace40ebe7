"""All requests put their work in a queue; one consumer does it, one after another.

[street]
endpoint = "GET /label"
cause = "await_io"
culprit = "label_one"
remedy = "await_io/consumer"
load = [{path = "/label", n = 40, clients = 8}]
needs = ["upstream"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from stamps import now, stamp

queue = asyncio.Queue()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def label_one(text):
    return (await client.get("/30", params={"t": text})).json()  # CULPRIT


async def consumer():
    while True:
        text, future, since = await queue.get()
        future.set_result(await label_one(text))
        stamp(since)  # all that time the consumer awaited the labels of one text after another


@asynccontextmanager
async def lifespan(app):
    task = asyncio.create_task(consumer())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/label")
async def label():
    future = asyncio.get_running_loop().create_future()
    await queue.put(("cat", future, now()))
    return await future
