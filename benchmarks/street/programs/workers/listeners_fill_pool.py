"""Each long poll parks a thread of the default executor in queue.get(): thumbnails get one when a poll ends.

After https://github.com/open-webui/open-webui/issues/28168.

[street]
endpoint = "GET /thumb"
cause = "pool_queue"
culprit = "next_event"
remedy = "pool_queue/holders_wait"
load = [{path = "/thumb", n = 12, pause = 0.01}, {path = "/events", n = 40, clients = 5}]
"""

import asyncio
import queue
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4))
    yield


app = FastAPI(lifespan=lifespan)
events = queue.Queue()


def next_event():
    try:
        return events.get(timeout=0.25)  # CULPRIT
    except queue.Empty:
        return None


def shrink(since):
    stamp(since)
    return 1


@app.get("/events")
async def listen():
    return {"event": await asyncio.to_thread(next_event)}


@app.get("/thumb")
async def thumb():
    return {"bytes": await asyncio.to_thread(shrink, now())}
