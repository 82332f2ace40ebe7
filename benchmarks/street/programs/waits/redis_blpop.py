"""An endpoint waits for an answer on a Redis list, as with a worker in between.

[street]
endpoint = "GET /answer"
cause = "await_io"
culprit = "wait_for_answer"
remedy = "await_io/signal"
load = [{path = "/answer", n = 15, clients = 3}]
needs = ["redis"]
"""

import os

import redis.asyncio as redis
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
store = redis.from_url(os.environ["STREET_REDIS"])


async def wait_for_answer(key):
    since = now()
    found = await store.blpop([key], timeout=0.2)  # CULPRIT
    stamp(since)
    return found


@app.get("/answer")
async def answer():
    return {"answer": await wait_for_answer("answers:7")}
