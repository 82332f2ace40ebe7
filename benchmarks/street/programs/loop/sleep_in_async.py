"""time.sleep in an `async def`: 'polling' of a device, left from the synchronous version.

[street]
endpoint = "GET /door"
cause = "blocking_io"
culprit = "poll_door"
remedy = "blocking_io/blocks_loop"
load = [{path = "/door", n = 10}]
"""

import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def poll_door():
    since = now()
    time.sleep(0.12)  # CULPRIT
    stamp(since)
    return "open"


@app.get("/door")
async def door():
    return {"door": poll_door()}
