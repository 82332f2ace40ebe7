"""An upstream answers 503 at once; the time is lost in the pauses between the tries.

[street]
endpoint = "GET /stock"
cause = "await_io"
culprit = "with_retries"
remedy = "await_io/retries"
load = [{path = "/stock", n = 10, clients = 2}]
"""

import asyncio

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


async def ask_stock():
    raise ConnectionError("503")


async def with_retries(times=4):
    pause = 0.02
    for _ in range(times):
        try:
            return await ask_stock()
        except ConnectionError:
            since = now()
            await asyncio.sleep(pause)  # CULPRIT
            stamp(since)
            pause *= 2


@app.get("/stock")
async def stock():
    return {"stock": await with_retries()}
