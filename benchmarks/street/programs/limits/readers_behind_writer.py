"""A readers-writer lock by hand: a long reader makes a writer wait, and the writer all new readers.

[street]
endpoint = "GET /price"
cause = "limiter_wait"
culprit = "export"
remedy = "Do not wait while"
load = [
    {path = "/price", n = 90, clients = 3, pause = 0.02},
    {path = "/update", n = 12, pause = 0.1},
    {path = "/export", n = 4, pause = 0.3},
]
"""

import asyncio
from contextlib import asynccontextmanager

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


class ReadersWriter:
    def __init__(self):
        self.changed = asyncio.Condition()
        self.readers, self.writers_wait, self.writes = 0, 0, False

    @asynccontextmanager
    async def read(self):
        async with self.changed:
            await self.changed.wait_for(lambda: not (self.writes or self.writers_wait))
            self.readers += 1
        try:
            yield
        finally:
            async with self.changed:
                self.readers -= 1
                self.changed.notify_all()

    @asynccontextmanager
    async def write(self):
        async with self.changed:
            self.writers_wait += 1
            await self.changed.wait_for(lambda: not (self.writes or self.readers))
            self.writers_wait -= 1
            self.writes = True
        try:
            yield
        finally:
            async with self.changed:
                self.writes = False
                self.changed.notify_all()


lock = ReadersWriter()


@app.get("/price")
async def price():
    since = now()
    async with lock.read():
        stamp(since)
        await asyncio.sleep(0.002)
    return {"price": 3}


@app.get("/update")
async def update():
    async with lock.write():
        await asyncio.sleep(0.001)
    return {"updated": True}


@app.get("/export")
async def export():
    async with lock.read():
        for _ in range(8):
            await asyncio.sleep(0.05)  # CULPRIT
    return {"lines": 8}
