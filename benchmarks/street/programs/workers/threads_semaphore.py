"""threading.BoundedSemaphore(2) around a transcoder, in `def` endpoints.

[street]
endpoint = "GET /video"
cause = "lock_wait"
culprit = "transcode"
remedy = "lock_wait/holders_wait|Do not wait"
load = [{path = "/video", n = 36, clients = 6}]
"""

import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
two = threading.BoundedSemaphore(2)


def transcode():
    time.sleep(0.04)  # CULPRIT


@app.get("/video")
def video():
    since = now()
    with two:
        stamp(since)
        transcode()
    return {"video": 1}
