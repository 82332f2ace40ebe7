"""subprocess.run in an `async def`: `git` is asked for a version on each request.

[street]
endpoint = "GET /version"
cause = "blocking_io"
culprit = "ask_git"
remedy = "blocking_io/blocks_loop"
load = [{path = "/version", n = 10}]
"""

import subprocess

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def ask_git():
    since = now()
    subprocess.run(["sleep", "0.15"], check=True)  # CULPRIT
    stamp(since)


@app.get("/version")
async def version():
    ask_git()
    return {"version": "1.2"}
