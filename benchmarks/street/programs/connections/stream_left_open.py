"""httpx: PoolTimeout though the upstream is quick: its response stays open while the image is stored elsewhere.

After https://github.com/openai/openai-python/issues/763 and https://github.com/encode/httpx/issues/1315.

[street]
endpoint = "GET /mirror"
cause = "connection_wait"
culprit = "store_image"
remedy = "connection_wait"
load = [{path = "/mirror", n = 40, clients = 8}]
needs = ["upstream"]
"""

import contextvars
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
began = contextvars.ContextVar("began")
source = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"], limits=httpx.Limits(max_connections=2), timeout=20)
archive = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def stages(name, info):
    if name == "http11.send_request_headers.started":  # it has its connection
        stamp(began.get())


async def store_image(image):
    await archive.get("/70")  # CULPRIT


async def mirror_image():
    began.set(now())
    async with source.stream("GET", "/5", extensions={"trace": stages}) as answer:
        await store_image(answer)
        await answer.aread()


@app.get("/mirror")
async def mirror():
    await mirror_image()
    return {"mirrored": True}
