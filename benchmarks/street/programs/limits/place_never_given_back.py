"""A semaphore is released where all goes well; a refused card keeps its place for ever. Soon every request waits for its
whole time limit, and nothing ever comes.

After https://github.com/python-telegram-bot/python-telegram-bot/pull/251 and
https://github.com/nupurmadaan04/SOUL_SENSE_EXAM/issues/1164.

[street]
endpoint = "GET /charge"
cause = "limiter_wait"
culprit = "charge_card"
remedy = "limiter_wait/time_limit"
load = [{path = "/charge", n = 24, clients = 3}]
"""

import asyncio
from itertools import count

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from stamps import now, stamp

app = FastAPI()
places = asyncio.Semaphore(3)
numbers = count(1)


async def charge_card():
    since = now()
    try:
        await asyncio.wait_for(places.acquire(), 0.25)  # CULPRIT
    finally:
        stamp(since)
    await asyncio.sleep(0.01)
    if next(numbers) % 3 == 0:
        raise ValueError("card refused")
    places.release()


@app.get("/charge")
async def charge():
    try:
        await charge_card()
    except TimeoutError:
        return JSONResponse({"error": "busy"}, 503)
    except ValueError:
        return JSONResponse({"error": "refused"}, 402)
    return {"charged": True}
