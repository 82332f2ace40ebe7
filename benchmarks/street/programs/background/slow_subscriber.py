"""A message is sent to all subscribers, one after another: one whose client reads slowly holds up the publisher.

After https://github.com/Iamkewl/Attendence-V3/issues/38 and
https://github.com/auntiepickle/totalmix-osc-bridge/issues/32.

[street]
endpoint = "GET /publish"
cause = "await_io"
culprit = "send_to"
remedy = "await_io"
load = [{path = "/publish", n = 12}]
"""

import asyncio
import socket
import threading
import time
from contextlib import asynccontextmanager

from fastapi import FastAPI
from stamps import now, stamp

PAGE = b"x" * 400_000


def read(client, pause):
    while client.recv(40_000):
        time.sleep(pause)


async def subscriber(pause):
    server, client = socket.socketpair()
    for end in (server, client):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 30_000)
    threading.Thread(target=read, args=(client, pause), daemon=True).start()
    return (await asyncio.open_connection(sock=server))[1]


@asynccontextmanager
async def lifespan(app):
    app.state.subscribers = [await subscriber(pause) for pause in (0, 0.01, 0)]
    yield
    for one in app.state.subscribers:
        one.close()


app = FastAPI(lifespan=lifespan)


async def send_to(subscriber):
    since = now()
    subscriber.write(PAGE)
    await subscriber.drain()  # CULPRIT
    stamp(since)


@app.get("/publish")
async def publish():
    for one in app.state.subscribers:
        await send_to(one)
    return {"sent": 3}
