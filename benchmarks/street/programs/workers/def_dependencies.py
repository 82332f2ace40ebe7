"""Trivial `def` dependencies of an async endpoint each need a thread, and slow `def` endpoints have them all.

[street]
endpoint = "GET /me"
cause = "limiter_wait"
culprit = "export"
remedy = "needs no thread"
load = [
    {path = "/me", n = 30, clients = 2, pause = 0.01},
    {path = "/export", n = 160, clients = 8},
]
"""

import time
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import Depends, FastAPI, Request
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    anyio.to_thread.current_default_thread_limiter().total_tokens = 6
    yield


app = FastAPI(lifespan=lifespan)


async def begun():
    return now()


def locale(request: Request, since: int = Depends(begun)):
    stamp(since)
    return request.headers.get("accept-language", "en")


@app.get("/me")
async def me(locale: str = Depends(locale)):
    return {"locale": locale}


@app.get("/export")
def export():
    time.sleep(0.06)  # CULPRIT
    return {"rows": 3}
