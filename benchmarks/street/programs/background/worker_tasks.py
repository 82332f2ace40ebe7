"""Uploads are scanned by two worker tasks, each of which hands one file at a time to a thread that computes.

[street]
endpoint = "GET /scan"
cause = "compute"
culprit = "fingerprint"
remedy = "compute/consumer"
load = [{path = "/scan", n = 60, clients = 6}]
"""

import asyncio
import hashlib
from contextlib import asynccontextmanager

from fastapi import FastAPI
from stamps import now, stamp

UPLOAD = b"x" * 12_000_000
uploads = asyncio.Queue()


def fingerprint():
    return hashlib.sha256(UPLOAD).hexdigest()  # CULPRIT


async def worker():
    while True:
        upload = await uploads.get()
        upload.set_result(await asyncio.to_thread(fingerprint))


@asynccontextmanager
async def lifespan(app):
    workers = [asyncio.create_task(worker()) for _ in range(2)]
    yield
    for one in workers:
        one.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/scan")
async def scan():
    upload = asyncio.get_running_loop().create_future()
    uploads.put_nowait(upload)
    since = now()
    found = await upload
    stamp(since)
    return {"sha256": found}
