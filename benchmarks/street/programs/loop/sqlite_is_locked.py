"""sqlite3 in an async endpoint: each insert waits, on the loop, until a report's transaction is over.

[street]
endpoint = "GET /visit"
cause = "blocking_io"
culprit = "record"
remedy = "to_thread"
load = [{path = "/visit", n = 20, pause = 0.02}]
"""

import sqlite3
import tempfile
import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
FILE = tempfile.mkdtemp() + "/visits.db"
database = sqlite3.connect(FILE, isolation_level=None)
database.execute("CREATE TABLE visits (at REAL)")


def summarise():
    other = sqlite3.connect(FILE, isolation_level=None)
    while True:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(0.15)
        other.execute("COMMIT")
        time.sleep(0.05)


threading.Thread(target=summarise, daemon=True).start()


def record(at):
    since = now()
    database.execute("INSERT INTO visits VALUES (?)", (at,))  # CULPRIT
    stamp(since)


@app.get("/visit")
async def visit():
    record(time.time())
    return {"ok": True}
