"""A heavy library is imported inside the function that needs it: the first request pays.

[street]
endpoint = "GET /chart"
cause = "compute"
culprit = "chart_of"
remedy = "compute/cold_start|Import"
load = [{path = "/chart", n = 12}]
needs = ["sklearn"]
"""

import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def chart_of(day):
    before = time.thread_time_ns()
    import sklearn.ensemble  # CULPRIT

    stamp(now() - (time.thread_time_ns() - before))
    return sklearn.ensemble.__name__


@app.get("/chart")
async def chart():
    return {"by": chart_of(7)}
