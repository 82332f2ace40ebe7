"""A message client of one's own: one reader task resolves the answers, and awaits a slow handler for each pushed message.

[street]
endpoint = "GET /presence"
cause = "await_io"
culprit = "on_push"
remedy = "await_io/by_task"
load = [{path = "/presence", n = 15}]
needs = ["upstream"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from stamps import now, stamp

http = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def broker(reader, writer):
    while line := await reader.readline():
        writer.write(b"push\n")
        writer.write(line)
        await writer.drain()


async def on_push(line):
    await http.get("/70")  # CULPRIT


class Broker:
    def __init__(self):
        self.waiting, self.number = {}, 0

    async def connect(self):
        self.server = await asyncio.start_server(broker, "127.0.0.1", 0)
        self.reader, self.writer = await asyncio.open_connection(*self.server.sockets[0].getsockname())
        self.task = asyncio.create_task(self.read())

    async def read(self):
        while line := await self.reader.readline():
            if line == b"push\n":
                await on_push(line)
            elif future := self.waiting.pop(int(line), None):
                future.set_result(line)

    async def call(self):
        self.number += 1
        future = self.waiting[self.number] = asyncio.get_running_loop().create_future()
        self.writer.write(b"%d\n" % self.number)
        return await future


client = Broker()


@asynccontextmanager
async def lifespan(app):
    await client.connect()
    yield
    client.task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/presence")
async def presence():
    since = now()
    await client.call()
    stamp(since)
    return {"here": True}
