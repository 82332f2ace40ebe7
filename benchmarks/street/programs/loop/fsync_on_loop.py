"""An `async def` endpoint appends to a journal and calls os.fsync for each line.

[street]
endpoint = "GET /pay"
cause = "blocking_io"
culprit = "append"
remedy = "blocking_io/blocks_loop"
load = [{path = "/pay", n = 10}]
"""

import os
import tempfile
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
journal, path = tempfile.mkstemp(dir=".")
os.unlink(path)


def append(line):
    os.write(journal, line)
    since, cpu = now(), time.thread_time_ns()
    os.fsync(journal)  # CULPRIT
    stamp(since + time.thread_time_ns() - cpu)  # what the kernel computes for it is not the disk's


@app.get("/pay")
async def pay():
    for _ in range(100):
        append(b"paid 10 EUR\n")
    return {"ok": True}
