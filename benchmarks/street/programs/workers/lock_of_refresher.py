"""A thread of no request recomputes figures under a lock, again and again; `def` endpoints wait for the lock.

[street]
endpoint = "GET /figures"
cause = "lock_wait"
culprit = "refresh"
remedy = "Hold the lock for a shorter time|Do not wait while the lock is held"
load = [{path = "/figures", n = 30, clients = 3}]
"""

import contextlib
import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

lock = threading.Lock()
figures = {}
ended = threading.Event()


def refresh():
    while not ended.wait(0.02):
        with lock:  # CULPRIT
            time.sleep(0.12)  # CULPRIT
            figures["rows"] = 3


@contextlib.asynccontextmanager
async def lifespan(app):
    thread = threading.Thread(target=refresh)
    thread.start()
    yield
    ended.set()
    thread.join()


app = FastAPI(lifespan=lifespan)


@app.get("/figures")
def read():
    since = now()
    with lock:
        stamp(since)
        return dict(figures)
