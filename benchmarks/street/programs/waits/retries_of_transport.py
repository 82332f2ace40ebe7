"""httpx.AsyncHTTPTransport(retries=3): the webhook's host refuses connections, and httpx pauses between its tries.

[street]
endpoint = "GET /order"
cause = "await_io"
culprit = "notify"
remedy = "await_io/retries"
load = [{path = "/order", n = 6, clients = 3}]
"""

import socket

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=2))
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    NOBODY = f"http://127.0.0.1:{free.getsockname()[1]}"


async def notify():
    since = now()
    try:
        await client.get(NOBODY)  # CULPRIT
    except httpx.ConnectError:
        stamp(since)


@app.get("/order")
async def order():
    await notify()
    return {"ordered": True}
