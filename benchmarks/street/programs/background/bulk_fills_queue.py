"""One client's bulk puts many jobs into the queue of a few workers: another client's single job waits behind all of them.

[street]
endpoint = "GET /render"
cause = "await_io"
culprit = "draw"
remedy = "Or give GET /bulk a queue of its own"
needs = ["upstream"]
load = [{path = "/render", n = 24, clients = 2, pause = 0.1}, {path = "/bulk", n = 5, pause = 0.4}]
"""

import asyncio
import contextlib
import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp


async def draw(client):
    await client.get(f"{os.environ['STREET_UPSTREAM']}/50")  # CULPRIT


async def run_jobs(client, queue):
    while True:
        done = await queue.get()
        await draw(client)
        done.set_result("chart.png")


@contextlib.asynccontextmanager
async def lifespan(app):
    app.state.queue = asyncio.Queue()
    async with httpx.AsyncClient() as client:
        workers = [asyncio.create_task(run_jobs(client, app.state.queue)) for _ in range(3)]
        yield
        for worker in workers:
            worker.cancel()


app = FastAPI(lifespan=lifespan)


def submit():
    done = asyncio.get_running_loop().create_future()
    app.state.queue.put_nowait(done)
    return done


@app.get("/render")
async def render():
    since = now()
    image = await submit()
    stamp(since)
    return {"image": image}


@app.get("/bulk")
async def bulk():
    return {"images": await asyncio.gather(*(submit() for _ in range(40)))}
