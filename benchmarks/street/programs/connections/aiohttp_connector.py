"""aiohttp: a TCPConnector(limit=2) under load.

[street]
endpoint = "GET /feed"
cause = "connection_wait"
culprit = "fetch"
remedy = "connection_wait"
load = [{path = "/feed", n = 40, clients = 8}]
needs = ["upstream"]
"""

import os
from contextlib import asynccontextmanager

import aiohttp
from fastapi import FastAPI, Request
from stamps import now, stamp


async def queued(session, context, params):
    context.since = now()


async def given(session, context, params):
    stamp(context.since)


@asynccontextmanager
async def lifespan(app):
    stages = aiohttp.TraceConfig()
    stages.on_connection_queued_start.append(queued)
    stages.on_connection_queued_end.append(given)
    connector = aiohttp.TCPConnector(limit=2)
    async with aiohttp.ClientSession(connector=connector, trace_configs=[stages]) as session:
        app.state.session = session
        yield


app = FastAPI(lifespan=lifespan)


async def fetch(session):
    async with session.get(os.environ["STREET_UPSTREAM"] + "/60") as answer:  # CULPRIT
        return await answer.json()


@app.get("/feed")
async def feed(request: Request):
    return await fetch(request.app.state.session)
