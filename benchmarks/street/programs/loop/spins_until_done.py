"""A report is made in a thread; meanwhile its request asks again and again, with `asyncio.sleep(0)` between.

[street]
endpoint = "GET /report"
cause = "compute"
culprit = "until_done"
remedy = "compute/spins"
load = [{path = "/report", n = 10}]
"""

import asyncio
import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def make(report):
    time.sleep(0.15)
    report.append("made")


async def until_done(report):
    since = now()
    while not report:
        await asyncio.sleep(0)  # CULPRIT
    stamp(since)


@app.get("/report")
async def report():
    found = []
    threading.Thread(target=make, args=(found,)).start()
    await until_done(found)
    return found
