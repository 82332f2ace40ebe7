"""An inference engine by hand: a batch runs until its longest prompt is done, and short ones wait for that.

[street]
endpoint = "GET /title"
cause = "blocking_io"
culprit = "step"
remedy = "blocking_io/batches"
load = [
    {path = "/title", n = 40, clients = 4, pause = 0.02},
    {path = "/essay", n = 6, clients = 1, pause = 0.2},
]
"""

import asyncio
import time
from contextlib import asynccontextmanager

from fastapi import FastAPI
from stamps import now, stamp

queue = asyncio.Queue()


def step():
    time.sleep(0.025)  # CULPRIT


async def engine():
    while True:
        batch = [await queue.get()]
        while not queue.empty():
            batch.append(queue.get_nowait())
        for _ in range(max(tokens for tokens, _ in batch)):
            await asyncio.to_thread(step)
        for tokens, answer in batch:
            answer.set_result(tokens)


@asynccontextmanager
async def lifespan(app):
    task = asyncio.create_task(engine())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


async def generated(tokens):
    answer = asyncio.get_running_loop().create_future()
    queue.put_nowait((tokens, answer))
    return await answer


@app.get("/title")
async def title():
    since = now()
    tokens = await generated(2)
    stamp(since)
    return {"tokens": tokens}


@app.get("/essay")
async def essay():
    return {"tokens": await generated(12)}
