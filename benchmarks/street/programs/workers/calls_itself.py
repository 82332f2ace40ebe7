"""A basket asks this same service for each price, over HTTP: both need a worker of the one pool, and none is left.

After https://github.com/fastapi/fastapi/issues/3962.

[street]
endpoint = "GET /basket"
cause = "blocking_io"
culprit = "price_of"
remedy = "blocking_io/asks_itself"
load = [{path = "/basket", n = 12, clients = 4, pause = 0.1}]
"""

from contextlib import asynccontextmanager

import anyio.to_thread
import requests
from fastapi import FastAPI, Request
from stamps import now, stamp


@asynccontextmanager
async def few_workers(_):
    anyio.to_thread.current_default_thread_limiter().total_tokens = 4
    yield


app = FastAPI(lifespan=few_workers)


def price_of(article, url):
    since = now()
    try:
        return requests.get(f"{url}price", params={"article": article}, timeout=0.4).json()  # CULPRIT
    except requests.Timeout:
        return 0
    finally:
        stamp(since)


@app.get("/price")
def price(article: int):
    return article * 3


@app.get("/basket")
def basket(request: Request):
    return {"total": price_of(7, request.base_url)}
