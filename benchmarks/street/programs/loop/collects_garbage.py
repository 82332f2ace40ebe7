"""gc.collect() after each request, 'against the memory leak', with a large cache in memory.

[street]
endpoint = "GET /tile"
cause = "gc_pause"
culprit = "free_memory"
remedy = "gc_pause"
load = [{path = "/tile", n = 15}]
"""

import gc
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
cache = [{"tile": number, "layers": [number]} for number in range(400_000)]


def free_memory():
    before = time.thread_time_ns()
    gc.collect()  # CULPRIT
    stamp(now() - (time.thread_time_ns() - before))  # as long as it was on a CPU


@app.get("/tile")
async def tile():
    free_memory()
    return {"tiles": len(cache)}
