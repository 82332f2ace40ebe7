"""An image is converted by a subprocess that is awaited.

[street]
endpoint = "GET /convert"
cause = "await_io"
culprit = "convert"
remedy = "await_io"
load = [{path = "/convert", n = 10}]
"""

import asyncio

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


async def convert():
    process = await asyncio.create_subprocess_exec("sleep", "0.2")
    since = now()
    await process.wait()  # CULPRIT
    stamp(since)


@app.get("/convert")
async def converted():
    await convert()
    return {"done": True}
