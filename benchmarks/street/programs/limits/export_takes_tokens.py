"""A streamed export from a plain generator takes anyio's tokens, step by step: `def` endpoints wait for one.

[street]
endpoint = "GET /ping"
cause = "limiter_wait"
culprit = "rows"
remedy = "limiter_wait"
load = [{path = "/ping", n = 60, clients = 4}, {path = "/export", n = 24, clients = 6}]
"""

import time
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    current_default_thread_limiter().total_tokens = 3
    yield


class Arrived:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        scope["since"] = now()
        await self.app(scope, receive, send)


app = FastAPI(lifespan=lifespan)
app.add_middleware(Arrived)


def rows():
    for number in range(6):
        time.sleep(0.03)  # CULPRIT
        yield f"{number},a,b\n"


@app.get("/export")
async def export():
    return StreamingResponse(rows(), media_type="text/csv")


@app.get("/ping")
def ping(request: Request):
    stamp(request.scope["since"])
    return "pong"
