"""tenacity's AsyncRetrying in an `async for`: the pauses between the tries.

[street]
endpoint = "GET /stock"
cause = "await_io"
culprit = "stock_in"
remedy = "await_io/retries"
load = [{path = "/stock", n = 14, clients = 2}]
needs = ["tenacity"]
"""

from fastapi import FastAPI
from stamps import now, stamp
from tenacity import AsyncRetrying, stop_after_attempt, wait_fixed

app = FastAPI()


async def stock_in(town):
    tries, paused = 0, 0
    async for attempt in AsyncRetrying(stop=stop_after_attempt(4), wait=wait_fixed(0.04)):  # CULPRIT
        with attempt:
            if tries:
                stamp(paused)
            tries, paused = tries + 1, now()
            if tries < 4:
                raise ConnectionError(town)
    return tries


@app.get("/stock")
async def stock():
    return {"stock": await stock_in("Oslo")}
