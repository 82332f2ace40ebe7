"""The health check fails now and then: an export of another client serialises on the event loop.

[street]
endpoint = "GET /health"
cause = "loop_busy"
culprit = "to_lines"
remedy = "loop_busy"
amount = "overlap"
load = [{path = "/health", n = 40, pause = 0.005}, {path = "/export", n = 12}]
"""

import json
import time

from fastapi import FastAPI, Response
from stamps import now, stamp

app = FastAPI()


def to_lines():
    rows = [{"row": number, "name": f"customer {number}"} for number in range(100)]
    since, until = now(), time.perf_counter() + 0.08
    lines = 0
    while time.perf_counter() < until:
        lines += len([json.dumps(row) for row in rows])  # CULPRIT
    stamp(since)
    return str(lines)


@app.get("/health")
async def health():
    return {"ok": True}


@app.get("/export")
async def export():
    return Response(to_lines())
