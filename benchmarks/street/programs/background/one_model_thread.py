"""A model of which one thread may use: that takes one request after another from a queue, and completes its future.

[street]
endpoint = "GET /score"
cause = "compute"
culprit = "predict"
remedy = "compute/consumer"
load = [{path = "/score", n = 40, clients = 5}]
"""

import asyncio
import hashlib
import queue
import threading

from fastapi import FastAPI
from stamps import now, stamp

WEIGHTS = b"x" * 30_000_000
waiting = queue.Queue()
app = FastAPI()


def predict():
    return hashlib.sha256(WEIGHTS).hexdigest()  # CULPRIT


def serve():
    while True:
        loop, answer = waiting.get()
        loop.call_soon_threadsafe(answer.set_result, predict())


threading.Thread(target=serve, name="model", daemon=True).start()


@app.get("/score")
async def score():
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    since = now()
    waiting.put((loop, answer))
    found = await answer
    stamp(since)
    return {"score": found}
