"""An inference engine runs in a thread of its own; requests await futures that it completes on the loop.

After https://github.com/vllm-project/vllm/issues/2268 (the engine and the server share a process).

[street]
endpoint = "GET /generate"
cause = "limiter_wait"
culprit = "step"
remedy = "limiter_wait"
load = [{path = "/generate", n = 24, clients = 4}]
"""

import asyncio
import queue
import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
asked = queue.SimpleQueue()


def step(prompt):
    time.sleep(0.03)  # CULPRIT
    return prompt.upper()


def engine():
    while True:
        loop, future, prompt = asked.get()
        loop.call_soon_threadsafe(future.set_result, step(prompt))


threading.Thread(target=engine, daemon=True).start()


async def generated(prompt):
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    asked.put((loop, future, prompt))
    since = now()
    found = await future
    stamp(since)
    return found


@app.get("/generate")
async def generate():
    return {"text": await generated("hello")}
