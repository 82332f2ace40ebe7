"""A pool of sessions written by hand with an asyncio.Condition: two sessions, kept during a slow call.

[street]
endpoint = "GET /mails"
cause = "limiter_wait"
culprit = "fetch_mails"
remedy = "limiter_wait/holders_wait"
load = [{path = "/mails", n = 36, clients = 6}]
needs = ["upstream"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from stamps import now, stamp

client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


class Sessions:
    def __init__(self, number):
        self.free = list(range(number))
        self.changed = asyncio.Condition()

    @asynccontextmanager
    async def one(self):
        since = now()
        async with self.changed:
            await self.changed.wait_for(lambda: self.free)
            session = self.free.pop()
        stamp(since)
        try:
            yield session
        finally:
            async with self.changed:
                self.free.append(session)
                self.changed.notify()


app = FastAPI()
sessions = Sessions(2)


async def fetch_mails(session):
    await client.get("/45", params={"session": session})  # CULPRIT


@app.get("/mails")
async def mails():
    async with sessions.one() as session:
        await fetch_mails(session)
    return {"mails": 3}
