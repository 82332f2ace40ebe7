"""`def` endpoints stop at forty at once: anyio's tokens, while every one of them only waits.

[street]
endpoint = "GET /report"
cause = "limiter_wait"
culprit = "render"
remedy = "limiter_wait/holders_wait|total_tokens"
load = [{path = "/report", n = 60, clients = 12}]
"""

import time
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI
from stamps import now, stamp
from starlette.concurrency import run_in_threadpool


@asynccontextmanager
async def lifespan(app):
    anyio.to_thread.current_default_thread_limiter().total_tokens = 3  # forty, on a machine of forty clients
    yield


app = FastAPI(lifespan=lifespan)


def render(since):
    stamp(since)
    time.sleep(0.05)  # CULPRIT
    return "done"


@app.get("/report")
async def report():
    return {"report": await run_in_threadpool(render, now())}
