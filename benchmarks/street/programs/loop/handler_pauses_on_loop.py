"""Coroutines log through a handler that waits for its collector: each record stops the event loop.

[street]
endpoint = "GET /health"
cause = "loop_busy"
culprit = "Collector.emit"
remedy = "QueueHandler"
amount = "overlap"
load = [{path = "/health", n = 40, pause = 0.005}, {path = "/audit", n = 40}]
"""

import logging
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
log = logging.getLogger("audit")


class Collector(logging.Handler):
    def emit(self, record):
        since = now()
        time.sleep(0.04)  # CULPRIT
        stamp(since)


log.addHandler(Collector())


@app.get("/health")
async def health():
    return {"ok": True}


@app.get("/audit")
async def audit():
    log.warning("looked at")
    return {"ok": True}
