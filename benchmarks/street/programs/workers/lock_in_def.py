"""`def` endpoints write to one file under a threading.Lock, which is held during the slow write.

[street]
endpoint = "GET /pay"
cause = "lock_wait"
culprit = "append"
remedy = "lock_wait"
load = [{path = "/pay", n = 48, clients = 6}]
"""

import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
ledger = threading.Lock()


def append(line):
    since = now()
    with ledger:  # CULPRIT
        stamp(since)
        time.sleep(0.03)  # CULPRIT


@app.get("/pay")
def pay():
    append("10 EUR")
    return {"paid": True}
