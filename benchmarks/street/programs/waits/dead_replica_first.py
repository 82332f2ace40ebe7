"""A replica is down and its host drops packets: each request waits for the whole connect timeout before the next one.

After https://github.com/redis/redis-py/issues/651 and https://github.com/open-webui/open-webui/pull/19799.

[street]
endpoint = "GET /profile"
cause = "await_io"
culprit = "ask_replica"
remedy = "await_io/time_limit"
load = [{path = "/profile", n = 16, clients = 2}]
needs = ["upstream"]
"""

import os
import socket

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
dead = socket.create_server(("127.0.0.1", 0), backlog=0)  # nobody accepts: after two the kernel drops what connects
full = [socket.socket() for _ in range(3)]
for one in full:
    one.setblocking(False)
    one.connect_ex(dead.getsockname())

client = httpx.AsyncClient(timeout=httpx.Timeout(5, connect=0.15))
REPLICAS = (f"http://127.0.0.1:{dead.getsockname()[1]}", os.environ["STREET_UPSTREAM"])


async def ask_replica(replica):
    since = now()
    try:
        return (await client.get(f"{replica}/10")).json()  # CULPRIT
    except httpx.ConnectTimeout:
        return None
    finally:
        stamp(since)


@app.get("/profile")
async def profile():
    for replica in REPLICAS:
        if (found := await ask_replica(replica)) is not None:
            return found
