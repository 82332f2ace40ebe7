"""Quart: a QueueHandler whose queue is bounded and whose `enqueue` waits for a place: the listener's handler is slow.

[street]
endpoint = "GET /pay"
cause = "logging_wait"
culprit = "Ship.emit"
remedy = "logging_wait/signal"
load = [{path = "/pay", n = 20}]
"""

import logging
import logging.handlers
import queue
import time

from quart import Quart
from stamps import now, stamp

app = Quart(__name__)
log = logging.getLogger("payments")
log.setLevel(logging.INFO)


class Patient(logging.handlers.QueueHandler):
    def enqueue(self, record):
        self.queue.put(record)


class Ship(logging.Handler):
    def emit(self, record):
        time.sleep(0.02)  # CULPRIT


records = queue.Queue(2)
log.addHandler(Patient(records))
log.propagate = False
logging.handlers.QueueListener(records, Ship()).start()


def audit(step):
    log.info("payment %s", step)


@app.get("/pay")
async def pay():
    since = now()
    for step in ("checked", "reserved", "paid"):
        audit(step)
    stamp(since)
    return {"ok": True}
