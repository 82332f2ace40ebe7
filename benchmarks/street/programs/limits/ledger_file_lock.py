"""Each `def` endpoint appends to one ledger under fcntl.flock, and asks for a receipt before it gives the lock back.

[street]
endpoint = "GET /pay"
cause = "lock_wait"
culprit = "receipt"
remedy = "lock_wait"
load = [{path = "/pay", n = 48, clients = 6}]
"""

import fcntl
import tempfile
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
LEDGER = tempfile.mktemp(prefix="ledger-")


def receipt():
    time.sleep(0.02)  # CULPRIT


@app.get("/pay")
def pay():
    with open(LEDGER, "a") as ledger:
        since = now()
        fcntl.flock(ledger, fcntl.LOCK_EX)
        stamp(since)
        receipt()
        ledger.write("10 EUR\n")
    return {"paid": True}
