"""Quart runs `def` views in the loop's default executor: three threads, and each view sleeps.

[street]
endpoint = "GET /scan"
cause = "pool_queue"
culprit = "read_scanner"
remedy = "pool_queue"
load = [{path = "/scan", n = 60, clients = 9}]
needs = ["quart"]
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from quart import Quart, g
from stamps import now, stamp

app = Quart(__name__)


@app.before_serving
async def few_threads():
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(3))


@app.before_request
async def arrived():
    g.since = now()


def read_scanner():
    time.sleep(0.05)  # CULPRIT


@app.get("/scan")
def scan():
    stamp(g.since)
    read_scanner()
    return {"code": 7}
