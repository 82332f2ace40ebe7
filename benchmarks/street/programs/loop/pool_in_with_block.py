"""An async endpoint asks four shops by a ThreadPoolExecutor in a `with` block: the loop waits for the slowest.

After https://github.com/fastapi/fastapi/discussions/6347.

[street]
endpoint = "GET /offers"
cause = "blocking_io"
culprit = "offers_of"
remedy = "blocking_io"
load = [{path = "/offers", n = 12}]
needs = ["upstream"]
"""

import os
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def offer(shop):
    with urllib.request.urlopen(f"{os.environ['STREET_UPSTREAM']}/{shop * 30}") as answer:
        return len(answer.read())


def offers_of(shops):
    since = now()
    with ThreadPoolExecutor(4) as pool:  # CULPRIT
        found = list(pool.map(offer, shops))  # CULPRIT
    stamp(since)
    return found


@app.get("/offers")
async def offers():
    return {"offers": offers_of([1, 2, 3, 4])}
