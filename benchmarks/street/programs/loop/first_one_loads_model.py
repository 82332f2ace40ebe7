"""The model is loaded by the first request that needs it, on the loop; all that come meanwhile wait.

[street]
endpoint = "GET /predict"
cause = "compute"
culprit = "model"
remedy = "compute/cold_start"
load = [{path = "/predict", n = 12}]
"""

import functools
import pickle
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
STORED = pickle.dumps([{"weight": number / 7, "name": f"w{number}"} for number in range(300_000)])


@functools.cache
def model():
    before = time.thread_time_ns()
    found = pickle.loads(STORED)  # CULPRIT
    stamp(now() - (time.thread_time_ns() - before))
    return found


@app.get("/predict")
async def predict():
    return {"weight": model()[3]["weight"]}
