"""A `def` endpoint waits in `queue.Queue.get` for what another request puts there: the callback of a payment.

[street]
endpoint = "GET /pay"
cause = "lock_wait"
culprit = "paid"
remedy = "lock_wait/signal"
load = [{path = "/pay", n = 10}, {path = "/paid", n = 60, pause = 0.1}]
"""

import queue

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
payments = queue.Queue()
waiting = 0


@app.get("/pay")
def pay():
    global waiting
    since, waiting = now(), 1
    payments.get(timeout=5)
    stamp(since)
    return {}


@app.get("/paid")
def paid():
    global waiting
    if waiting:
        waiting = 0
        payments.put("paid")  # CULPRIT
    return {}
