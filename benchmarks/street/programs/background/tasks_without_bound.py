"""Each import starts a task for every row, and answers: hundreds of short steps are ready, and all others wait for them.

[street]
endpoint = "GET /profile"
cause = "loop_busy"
culprit = "enrich"
remedy = "loop_busy/loop_turns"
amount = "overlap"
load = [{path = "/profile", n = 40, pause = 0.02}, {path = "/import", n = 12, pause = 0.3}]
"""

import asyncio
import hashlib

from fastapi import FastAPI
from stamps import now, stamp

ROW = b"x" * 300_000
kept = {}
tasks = set()
app = FastAPI()


async def enrich(number):
    for _ in range(2):
        await asyncio.sleep(0)
        since = now()
        kept[number] = hashlib.sha256(ROW).hexdigest()  # CULPRIT
        stamp(since)


@app.get("/import")
async def rows():
    for number in range(150):
        task = asyncio.create_task(enrich(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    return {"accepted": True}


@app.get("/profile")
async def profile():
    return {"kept": len(kept)}
