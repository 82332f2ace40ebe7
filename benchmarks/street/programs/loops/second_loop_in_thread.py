"""A client library runs its own event loop in a thread; the service hands it coroutines.

[street]
endpoint = "GET /legacy"
cause = "await_io"
culprit = "ask"
remedy = "await_io"
load = [{path = "/legacy", n = 15, clients = 2}]
"""

import asyncio
import threading

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
other = asyncio.new_event_loop()
threading.Thread(target=other.run_forever, daemon=True).start()


async def ask():
    since = now()
    await asyncio.sleep(0.12)  # CULPRIT
    stamp(since)
    return 7


@app.get("/legacy")
async def legacy():
    return {"answer": await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask(), other))}
