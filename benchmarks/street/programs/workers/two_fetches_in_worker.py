"""A driver without async support: an endpoint awaits run_in_threadpool twice, one call after the other.

After https://github.com/fastapi/fastapi/issues/4495.

[street]
endpoint = "GET /home"
cause = "blocking_io"
culprit = "data_fetch"
remedy = "blocking_io/serial_awaits"
load = [{path = "/home", n = 64, clients = 8}]
"""

import time

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from stamps import now, stamp

app = FastAPI()


def data_fetch(query):
    since = now()
    time.sleep(0.05)  # CULPRIT
    stamp(since)
    return query


@app.get("/home")
async def home():
    return [await run_in_threadpool(data_fetch, "today"), await run_in_threadpool(data_fetch, "tomorrow")]
