"""A `def` endpoint waits on a threading.Condition until the poller's thread has fetched the next price.

[street]
endpoint = "GET /next"
cause = "lock_wait"
culprit = "fetch"
remedy = "lock_wait"
load = [{path = "/next", n = 12, clients = 2, pause = 0.02}]
"""

import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
changed = threading.Condition()
price = [0]


def fetch():
    time.sleep(0.12)  # CULPRIT
    return price[0] + 1


def poller():
    while True:
        found = fetch()
        with changed:
            price[0] = found
            changed.notify_all()


threading.Thread(target=poller, daemon=True).start()


@app.get("/next")
def following():
    since = now()
    with changed:
        changed.wait()
    stamp(since)
    return {"price": price[0]}
