"""A threading.Lock is acquired on the loop, while a `def` endpoint keeps it during a slow refresh in a worker thread.

[street]
endpoint = "GET /settings"
cause = "lock_wait"
culprit = "reload"
remedy = "lock_wait/holders_wait"
load = [
    {path = "/settings", n = 30, clients = 1, pause = 0.02},
    {path = "/reload", n = 10, clients = 1, pause = 0.01},
]
"""

import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
lock = threading.Lock()
settings = {"colour": "blue"}


@app.get("/reload")
def reload():
    with lock:  # CULPRIT
        time.sleep(0.12)  # reads a slow share  # CULPRIT
        settings["version"] = settings.get("version", 0) + 1
    return {"ok": True}


@app.get("/settings")
async def show():
    since = now()
    with lock:
        stamp(since)
        return dict(settings)
