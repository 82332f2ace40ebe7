"""A regular expression that backtracks checks each address on the event loop.

[street]
endpoint = "GET /register"
cause = "compute"
culprit = "is_valid"
remedy = "compute/computes_on_loop"
load = [{path = "/register", n = 12}]
"""

import re
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
ADDRESS = re.compile(r"^(\w+\s?)*$")


def is_valid(text):
    before = time.thread_time_ns()
    found = ADDRESS.match(text)  # CULPRIT
    stamp(now() - (time.thread_time_ns() - before))  # as long as it was on a CPU
    return found is not None


@app.get("/register")
async def register():
    return {"ok": is_valid("a" * 20 + "!")}
