"""`def` background tasks share anyio's tokens with `def` endpoints: orders wait for the receipts of those before.

After https://github.com/Kludex/starlette/issues/1724.

[street]
endpoint = "GET /order"
cause = "limiter_wait"
culprit = "send_receipt"
remedy = "limiter_wait/holders_wait|total_tokens"
load = [{path = "/order", n = 40, clients = 8}]
needs = ["upstream"]
"""

import os
import urllib.request
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import BackgroundTasks, FastAPI, Request
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    anyio.to_thread.current_default_thread_limiter().total_tokens = 3  # forty, on a machine of more clients
    yield


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def begin(request: Request, call_next):
    request.state.since = now()
    return await call_next(request)


def send_receipt(number):
    with urllib.request.urlopen(os.environ["STREET_UPSTREAM"] + "/120") as answer:  # CULPRIT
        answer.read()


@app.get("/order")
def order(request: Request, tasks: BackgroundTasks):
    stamp(request.state.since)
    tasks.add_task(send_receipt, 3)
    return {"order": 3}
