"""A report is made in the background; the endpoint asks every 50 ms whether it is there.

[street]
endpoint = "GET /report"
cause = "await_io"
culprit = "until_done"
remedy = "await_io/polling"
load = [{path = "/report", n = 12, clients = 2}]
"""

import asyncio

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


class Report:
    done = False

    async def make(self):
        await asyncio.sleep(0.33)
        self.done = True


async def until_done(report):
    since = now()
    while not report.done:
        await asyncio.sleep(0.05)  # CULPRIT
    stamp(since)


@app.get("/report")
async def report():
    one = Report()
    making = asyncio.create_task(one.make())
    await until_done(one)
    await making
    return {"pages": 3}
