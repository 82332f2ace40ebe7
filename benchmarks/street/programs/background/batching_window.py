"""Inference is batched by a background task; alone at night, each request waits for the whole window.

[street]
endpoint = "GET /embed"
cause = "await_io"
culprit = "collect"
remedy = "await_io|window|batch"
load = [{path = "/embed", n = 15, pause = 0.01}]
"""

import asyncio
from contextlib import asynccontextmanager

from fastapi import FastAPI
from stamps import now, stamp

queue = asyncio.Queue()


async def collect(first):
    batch, loop = [first], asyncio.get_running_loop()
    until = loop.time() + 0.1
    since = now()
    while (left := until - loop.time()) > 0:
        try:
            batch.append(await asyncio.wait_for(queue.get(), left))  # CULPRIT
        except TimeoutError:
            break
    stamp(since)
    return batch


async def batcher():
    while True:
        for future in await collect(await queue.get()):
            future.set_result([0.1, 0.2])


@asynccontextmanager
async def lifespan(app):
    task = asyncio.create_task(batcher())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/embed")
async def embed():
    future = asyncio.get_running_loop().create_future()
    await queue.put(future)
    return {"vector": await future}
