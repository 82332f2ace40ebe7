"""Passwords are hashed in a worker thread: the loop is free, the request computes.

[street]
endpoint = "GET /token"
cause = "compute"
culprit = "derive"
remedy = "compute/computes_in_worker"
load = [{path = "/token", n = 12}]
"""

import asyncio
import hashlib
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def derive(password):
    before = time.thread_time_ns()
    key = hashlib.pbkdf2_hmac("sha256", password, b"salt", 250_000)  # CULPRIT
    stamp(now() - (time.thread_time_ns() - before))  # as long as it was on a CPU
    return key


@app.get("/token")
async def token():
    return {"key": (await asyncio.to_thread(derive, b"secret")).hex()[:4]}
