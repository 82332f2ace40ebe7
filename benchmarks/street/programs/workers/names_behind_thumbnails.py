"""'DNS timeouts' of an HTTP client: asyncio asks for names in its default executor, whose threads others keep busy.
uvloop asks in threads of libuv's own: there the stamps show 2 ms of it, and no request waits for the thumbnails.

After https://github.com/python/cpython/issues/112169.

[street]
endpoint = "GET /price"
cause = "pool_queue"
culprit = "read_image"
remedy = "pool_queue"
load = [{path = "/price", n = 24, clients = 2, after = 0.2}, {path = "/thumbnail", n = 160, clients = 8}]
needs = ["upstream"]
loops = ["asyncio"]
"""

import asyncio
import contextvars
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from stamps import now, stamp

began = contextvars.ContextVar("began")


@asynccontextmanager
async def lifespan(app):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4))
    async with httpx.AsyncClient(
        base_url=os.environ["STREET_UPSTREAM"].replace("127.0.0.1", "localhost"),
        limits=httpx.Limits(max_keepalive_connections=0),
        timeout=20,
    ) as app.state.client:
        yield


app = FastAPI(lifespan=lifespan)


async def stages(name, info):
    if name == "connection.connect_tcp.started":
        began.set(now())
    if name == "connection.connect_tcp.complete":  # the name is known after all; to connect takes no time here
        stamp(began.get())


def read_image():
    time.sleep(0.06)  # CULPRIT


@app.get("/thumbnail")
async def thumbnail():
    await asyncio.to_thread(read_image)


async def price_of(item):
    answer = await app.state.client.get("/5", params={"item": item}, extensions={"trace": stages})
    return answer.json()


@app.get("/price")
async def price():
    return await price_of(7)
