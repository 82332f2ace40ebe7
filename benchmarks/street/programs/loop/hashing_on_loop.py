"""A login hashes the password on the event loop.

[street]
endpoint = "GET /login"
cause = "compute"
culprit = "check"
remedy = "compute/computes_on_loop"
load = [{path = "/login", n = 15}]
"""

import hashlib
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def check(password):
    before = time.thread_time_ns()
    digest = hashlib.pbkdf2_hmac("sha256", password, b"salt", 200_000)  # CULPRIT
    stamp(now() - (time.thread_time_ns() - before))  # as long as it was on a CPU
    return digest


@app.get("/login")
async def login():
    return {"ok": check(b"secret").hex()[:4]}
