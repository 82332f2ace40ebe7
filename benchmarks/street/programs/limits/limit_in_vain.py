"""A time limit of 50 ms around a report that a thread makes: nothing ends a thread, and its caller waits until it returns.

[street]
endpoint = "GET /report"
cause = "blocking_io"
culprit = "make_report"
remedy = "abandon_on_cancel|timeout="
load = [{path = "/report", n = 24, clients = 3}]
needs = ["upstream"]
"""

import os
import urllib.request

import anyio
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from stamps import now, stamp

app = FastAPI()


def make_report():
    since = now()
    urllib.request.urlopen(f"{os.environ['STREET_UPSTREAM']}/180").read()  # CULPRIT
    stamp(since)


@app.get("/report")
async def report():
    with anyio.move_on_after(0.05) as limit:
        await run_in_threadpool(make_report)
    return {"late": limit.cancelled_caught}
