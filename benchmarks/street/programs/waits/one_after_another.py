"""Six look-ups of one function, awaited one after another in a loop, that do not need each other.

[street]
endpoint = "GET /basket"
cause = "await_io"
culprit = "price_of"
remedy = "await_io/serial_awaits"
load = [{path = "/basket", n = 15, clients = 2}]
needs = ["upstream"]
"""

import os
from contextlib import asynccontextmanager

import aiohttp
from fastapi import FastAPI, Request
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    async with aiohttp.ClientSession() as session:
        app.state.session = session
        yield


app = FastAPI(lifespan=lifespan)


async def price_of(session, item):
    async with session.get(f"{os.environ['STREET_UPSTREAM']}/40?item={item}") as answer:  # CULPRIT
        return await answer.json()


@app.get("/basket")
async def basket(request: Request):
    since = now()
    prices = []
    for item in range(6):
        prices.append(await price_of(request.app.state.session, item))
    stamp(since)
    return {"items": len(prices)}
