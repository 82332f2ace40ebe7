"""Jobs wait in a PriorityQueue for one worker: previews come last, since a burst of another endpoint goes first.

[street]
endpoint = "GET /preview"
cause = "await_io"
culprit = "resize"
remedy = "await_io/consumer"
load = [{path = "/preview", n = 12, clients = 2, pause = 0.02}, {path = "/burst", n = 12, pause = 0.1}]
"""

import asyncio
import itertools
from contextlib import asynccontextmanager

from fastapi import FastAPI
from stamps import now, stamp

jobs = asyncio.PriorityQueue()
number = itertools.count()


async def resize(size):
    await asyncio.sleep(0.03)  # CULPRIT
    return size


async def sketch(size):
    await asyncio.sleep(0.002)
    return size


async def worker():
    while True:
        _, _, job, size, since, done = await jobs.get()
        if job is sketch:
            stamp(since)
        done.set_result(await job(size))


def enqueue(priority, job, size):
    done = asyncio.get_running_loop().create_future()
    jobs.put_nowait((priority, next(number), job, size, now(), done))
    return done


@asynccontextmanager
async def lifespan(app):
    task = asyncio.create_task(worker())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/preview")
async def preview():
    return {"size": await enqueue(5, sketch, 64)}


@app.get("/burst")
async def burst():
    return {"size": await asyncio.gather(*(enqueue(1, resize, size) for size in range(5)))}
