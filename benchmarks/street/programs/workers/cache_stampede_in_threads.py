"""A cache's refill under a threading.Lock in `def` endpoints: when it expires, all threads wait for the one that loads.

[street]
endpoint = "GET /rates"
cause = "lock_wait"
culprit = "load"
remedy = "lock_wait"
load = [{path = "/rates", n = 120, clients = 6, pause = 0.02}]
"""

import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
lock = threading.Lock()
cache = {"until": 0.0}


def load():
    time.sleep(0.15)  # CULPRIT
    cache["until"] = time.monotonic() + 0.25


def rates():
    since = now()
    with lock:
        stamp(since)
        if cache["until"] < time.monotonic():
            load()


@app.get("/rates")
def get_rates():
    rates()
    return {"EUR": 1.1}
