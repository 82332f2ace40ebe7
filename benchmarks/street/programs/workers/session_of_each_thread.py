"""`def` endpoints keep a client in threading.local, and each new thread logs in: the first requests are slow.

[street]
endpoint = "GET /stock"
cause = "blocking_io"
culprit = "session"
remedy = "blocking_io/cold_start"
load = [{path = "/stock", n = 72, clients = 8}]
"""

import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
local = threading.local()


def session():
    if not hasattr(local, "session"):
        time.sleep(0.25)  # CULPRIT
        local.session = object()
    return local.session


@app.get("/stock")
def stock():
    since = now()
    session()
    time.sleep(0.001)
    stamp(since)
    return {"stock": 3}
