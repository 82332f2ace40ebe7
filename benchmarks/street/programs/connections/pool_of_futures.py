"""A pool written by hand: who gives a connection back sets the future of the first in line.

[street]
endpoint = "GET /ask"
cause = "limiter_wait"
culprit = "ask_model"
remedy = "limiter_wait/holders_wait"
load = [{path = "/ask", n = 32, clients = 8}]
"""

import asyncio
from collections import deque

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


class Pool:
    def __init__(self, size):
        self.free, self.line = size, deque()

    async def __aenter__(self):
        since = now()
        if self.free:
            self.free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            self.line.append(turn)
            await turn
        stamp(since)

    async def __aexit__(self, *error):
        if self.line:
            self.line.popleft().set_result(None)
        else:
            self.free += 1


pool = Pool(2)


async def ask_model():
    await asyncio.sleep(0.06)  # CULPRIT


@app.get("/ask")
async def ask():
    async with pool:
        await ask_model()
    return {}
