"""tenacity: an upstream fails at once, three times; its pauses are the request's time, and stand in no code of one's own.

After https://github.com/jd/tenacity/issues/254.

[street]
endpoint = "GET /stock"
cause = "await_io"
culprit = "stock_in"
remedy = "await_io/retries"
load = [{path = "/stock", n = 14, clients = 2}]
needs = ["tenacity"]
"""

import contextvars

from fastapi import FastAPI
from stamps import now, stamp
from tenacity import retry, stop_after_attempt, wait_fixed

app = FastAPI()
paused = contextvars.ContextVar("paused")
tries = contextvars.ContextVar("tries", default=0)


@retry(stop=stop_after_attempt(4), wait=wait_fixed(0.05), before_sleep=lambda state: paused.set(now()))
async def ask_warehouse(town):
    tries.set(tries.get() + 1)
    if tries.get() > 1:
        stamp(paused.get())
    if tries.get() < 4:
        raise ConnectionError("503")
    return 7


async def stock_in(town):
    return await ask_warehouse(town)  # CULPRIT


@app.get("/stock")
async def stock():
    return {"stock": await stock_in("Oslo")}
