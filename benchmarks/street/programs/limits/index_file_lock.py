"""filelock in `def` endpoints, around a slow write to one index: the others look again and again, with pauses.

[street]
endpoint = "GET /index"
cause = "lock_wait"
culprit = "write"
remedy = "lock_wait"
load = [{path = "/index", n = 48, clients = 5}]
"""

import tempfile
import time

from fastapi import FastAPI
from filelock import FileLock
from stamps import now, stamp

app = FastAPI()
INDEX = tempfile.mktemp(prefix="index-")


def write():
    time.sleep(0.03)  # CULPRIT


def add():
    since = now()
    with FileLock(INDEX + ".lock", poll_interval=0.01):
        stamp(since)
        write()


@app.get("/index")
def index():
    add()
    return {"added": 1}
