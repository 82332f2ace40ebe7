"""A `def` endpoint looks every 40 ms whether its job is done, with time.sleep between.

[street]
endpoint = "GET /convert"
cause = "blocking_io"
culprit = "until_done"
remedy = "blocking_io/polling"
load = [{path = "/convert", n = 12, clients = 3}]
"""

import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
done = {}


def until_done(job):
    since = now()
    while job not in done:
        time.sleep(0.04)  # CULPRIT
    stamp(since)
    return done.pop(job)


@app.get("/convert")
def convert():
    job = object()
    threading.Timer(0.13, done.__setitem__, (job, "converted")).start()
    return {"job": until_done(job)}
