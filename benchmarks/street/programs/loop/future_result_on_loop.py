"""future.result() of a thread pool's job, called on the event loop.

[street]
endpoint = "GET /scan"
cause = "blocking_io"
culprit = "scan_now"
remedy = "blocking_io/blocks_loop"
load = [{path = "/scan", n = 10}]
"""

import time
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
pool = ThreadPoolExecutor(4)


def scan_now():
    since = now()
    found = pool.submit(time.sleep, 0.1).result()  # CULPRIT
    stamp(since)
    return found


@app.get("/scan")
async def scan():
    return {"virus": scan_now()}
