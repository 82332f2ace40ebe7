"""Server-sent events with a pause of the code's own between them.

[street]
endpoint = "GET /ticks"
cause = "await_io"
culprit = "ticks"
remedy = "await_io/paced"
load = [{path = "/ticks", n = 8, clients = 2}]
"""

import asyncio

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from stamps import now, stamp

app = FastAPI()


async def ticks():
    for number in range(10):
        since = now()
        await asyncio.sleep(0.03)  # CULPRIT
        stamp(since)
        yield f"data: {number}\n\n"


@app.get("/ticks")
async def events():
    return StreamingResponse(ticks(), media_type="text/event-stream")
