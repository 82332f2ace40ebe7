"""`asyncio.to_thread` inside an asyncio.Lock: 'we moved the file write off the loop', and all still queue for the lock.

(The truth was first declared as save, which takes the lock; those who have it stand in write, as in the other programs.)

[street]
endpoint = "GET /note"
cause = "limiter_wait"
culprit = "write"
remedy = "Do not wait while|limiter_wait/holders_wait"
load = [{path = "/note", n = 36, clients = 6}]
"""

import asyncio
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
journal = asyncio.Lock()


def write(line):
    time.sleep(0.025)  # CULPRIT a slow disk


async def save(line):
    since = now()
    async with journal:
        stamp(since)
        await asyncio.to_thread(write, line)


@app.get("/note")
async def note():
    await save("milk")
    return {"saved": True}
