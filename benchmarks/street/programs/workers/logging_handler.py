"""`def` endpoints log through a handler that sends each record over the network.

[street]
endpoint = "GET /audit"
cause = "logging_wait"
culprit = "Remote.emit"
remedy = "logging_wait"
load = [{path = "/audit", n = 36, clients = 6}]
"""

import logging
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
log = logging.getLogger("audit")


class Remote(logging.Handler):
    def emit(self, record):
        time.sleep(0.03)  # CULPRIT


log.addHandler(Remote())


def record(what):
    since = now()
    log.warning("seen: %s", what)
    stamp(since)


@app.get("/audit")
def audit():
    record("someone")
    return {"ok": True}
