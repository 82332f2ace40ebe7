"""A large answer is encoded as JSON on the event loop by the endpoint itself.

[street]
endpoint = "GET /export"
cause = "compute"
culprit = "encoded"
remedy = "compute/computes_on_loop"
load = [{path = "/export", n = 12}]
"""

import json
import time

from fastapi import FastAPI, Response
from stamps import now, stamp

app = FastAPI()
ROWS = [
    {"number": number, "name": f"name {number}", "tags": ["a", "b"], "price": number / 7} for number in range(60_000)
]


def encoded():
    before = time.thread_time_ns()
    text = json.dumps({"rows": ROWS})  # CULPRIT
    stamp(now() - (time.thread_time_ns() - before))  # as long as it was on a CPU
    return text


@app.get("/export")
async def export():
    return Response(encoded()[:100], media_type="application/json")
