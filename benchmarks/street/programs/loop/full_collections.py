"""Millions of objects live in a cache; each import of rows makes the collector walk all of them.

[street]
endpoint = "GET /import"
cause = "gc_pause"
culprit = "parsed"
remedy = "gc_pause"
load = [{path = "/import", n = 12}]
"""

import gc

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
CACHE = [[number, [number]] for number in range(600_000)]
begun = 0


def stamped(phase, info):
    global begun
    if phase == "start":
        begun = now()
    else:
        stamp(begun)


gc.callbacks.append(stamped)


def parsed(text):
    return [[number, {"name": [number]}] for number in range(150_000)]  # CULPRIT


@app.get("/import")
async def imported():
    kept = parsed("rows")
    return {"rows": len(kept)}
