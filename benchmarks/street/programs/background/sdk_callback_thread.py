"""A vendor's SDK calls back from a thread of its own; the handler awaits a future that the callback completes.

[street]
endpoint = "GET /pay"
cause = "limiter_wait"
culprit = "charge"
remedy = "limiter_wait|await_io|blocking_io"
load = [{path = "/pay", n = 16, clients = 2}]
"""

import asyncio
import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def charge(amount):
    time.sleep(0.09)  # CULPRIT
    return amount


def sdk_charge(amount, callback):
    def run():
        callback(charge(amount))

    threading.Thread(target=run).start()


async def paid(amount):
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    sdk_charge(amount, lambda found: loop.call_soon_threadsafe(future.set_result, found))
    since = now()
    found = await future
    stamp(since)
    return found


@app.get("/pay")
async def pay():
    return {"paid": await paid(5)}
