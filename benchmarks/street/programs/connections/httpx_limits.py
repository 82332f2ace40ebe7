"""httpx: max_connections=2; twelve requests share the client.

[street]
endpoint = "GET /search"
cause = "connection_wait"
culprit = "search_index"
remedy = "connection_wait|max_connections"
load = [{path = "/search", n = 40, clients = 8}]
needs = ["upstream"]
"""

import contextvars
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
began = contextvars.ContextVar("began")
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"], limits=httpx.Limits(max_connections=2), timeout=20)


async def stages(name, info):
    if name == "http11.send_request_headers.started":  # it has its connection
        stamp(began.get())


async def search_index(words):
    began.set(now())
    answer = await client.get("/60", params={"q": words}, extensions={"trace": stages})  # CULPRIT
    return answer.json()


@app.get("/search")
async def search():
    return await search_index("slow")
