"""asyncio.to_thread around a slow call: it is in a worker already, and slow.

[street]
endpoint = "GET /scanner"
cause = "blocking_io"
culprit = "read_scanner"
remedy = "blocking_io/in_worker"
load = [{path = "/scanner", n = 12, clients = 2}]
needs = ["upstream"]
"""

import asyncio
import os
import urllib.request

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def read_scanner():
    since = now()
    with urllib.request.urlopen(os.environ["STREET_UPSTREAM"] + "/130") as answer:  # CULPRIT
        stamp(since)
        return len(answer.read())


@app.get("/scanner")
async def scanner():
    return {"bytes": await asyncio.to_thread(read_scanner)}
