"""A long poll on a bare future, with a time limit: it waits until another request posts a message, and nobody is slow.

[street]
endpoint = "GET /next"
cause = "await_io"
culprit = ""
remedy = "await_io/signal"
load = [
    {path = "/next", n = 12, clients = 3},
    {path = "/post", n = 5, pause = 0.45, after = 0.3},
]
"""

import asyncio

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
waiting = []


async def next_message():
    since, message = now(), asyncio.get_running_loop().create_future()
    waiting.append(message)
    try:
        return await asyncio.wait_for(message, 0.6)  # CULPRIT
    except TimeoutError:
        return None
    finally:
        stamp(since)


@app.get("/next")
async def poll():
    return {"message": await next_message()}


@app.get("/post")
async def post():
    for message in waiting:
        if not message.done():
            message.set_result("hello")
    waiting.clear()
    return {}
