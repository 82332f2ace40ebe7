"""tenacity around a plain function that an async endpoint calls: its pauses are time.sleep, on the loop.

After https://github.com/jd/tenacity/issues/342.

[street]
endpoint = "GET /stock"
cause = "blocking_io"
culprit = "stock"
remedy = "tries"
load = [{path = "/stock", n = 12}]
needs = ["tenacity"]
"""

from fastapi import FastAPI
from stamps import now, stamp
from tenacity import retry, stop_after_attempt, wait_fixed

app = FastAPI()
calls = 0


@retry(wait=wait_fixed(0.06), stop=stop_after_attempt(5))
def in_stock(article):
    global calls
    calls += 1
    if calls % 3:
        raise ConnectionError("try again")
    return calls


@app.get("/stock")
async def stock():
    since = now()
    found = in_stock(3)  # CULPRIT
    stamp(since)
    return {"stock": found}
