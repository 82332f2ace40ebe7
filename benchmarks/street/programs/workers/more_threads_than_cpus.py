"""Passwords are derived on eight threads, which release the GIL, for six clients, where there are fewer CPUs.

[street]
endpoint = "GET /login"
cause = "cpu_wait"
culprit = "derive"
remedy = "cpu_wait/cpu_own_threads"
load = [{path = "/login", n = 36, clients = 6}]
"""

import asyncio
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
pool = ThreadPoolExecutor(8)


def derive(password):
    since, computed = now(), time.thread_time_ns()
    found = hashlib.pbkdf2_hmac("sha256", password, b"salt", 150_000)  # CULPRIT
    stamp(since + (time.thread_time_ns() - computed))
    return found


@app.get("/login")
async def login():
    await asyncio.get_running_loop().run_in_executor(pool, derive, b"secret")
    return {"ok": True}
