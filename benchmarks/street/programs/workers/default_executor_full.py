"""run_in_executor with few workers: jobs that only wait for a file server stand in each other's way.

[street]
endpoint = "GET /thumb"
cause = "pool_queue"
culprit = "fetch"
remedy = "pool_queue/holders_wait"
load = [{path = "/thumb", n = 48, clients = 8}]
needs = ["upstream"]
"""

import asyncio
import os
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
pool = ThreadPoolExecutor(2, thread_name_prefix="thumbs")


def fetch(since):
    stamp(since)
    with urllib.request.urlopen(os.environ["STREET_UPSTREAM"] + "/70") as answer:  # CULPRIT
        return len(answer.read())


@app.get("/thumb")
async def thumb():
    return {"bytes": await asyncio.get_running_loop().run_in_executor(pool, fetch, now())}
