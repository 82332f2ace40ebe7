"""A converter's child process is started with a preexec_fn that takes its time: `await create_subprocess_exec` stops the
loop until the child runs its program. Another endpoint waits for that.

After https://github.com/MagicStack/uvloop/issues/118 and https://github.com/python/cpython/issues/146181.

[street]
endpoint = "GET /item"
cause = "loop_busy"
culprit = "convert"
remedy = "It blocks the loop .* a child process begins there"
amount = "overlap"
load = [{path = "/item", n = 24, clients = 2, pause = 0.01}, {path = "/convert", n = 14}]
"""

import asyncio
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def confine():
    time.sleep(0.06)  # joins a cgroup, sets limits


@app.get("/convert")
async def convert():
    since = now()
    process = await asyncio.create_subprocess_exec("true", preexec_fn=confine)  # CULPRIT
    stamp(since)
    await process.wait()
    return {"converted": True}


@app.get("/item")
async def item():
    return {"item": 7}
