"""'The new model is read in a thread': `pickle.loads` keeps the GIL until it is done, and every endpoint stands still.

[street]
endpoint = "GET /predict"
cause = "gil_wait"
culprit = "load_model"
remedy = "gil_wait/gil_held"
amount = "overlap"
load = [{path = "/predict", n = 220, pause = 0.02}]
"""

import pickle
import threading
import time

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
SAVED = pickle.dumps([{"feature": f"f{n}", "between": [n, n + 1], "weight": n / 7} for n in range(120_000)])
model = pickle.loads(SAVED)[:200]


def load_model():
    global model
    since = now()
    trees = pickle.loads(SAVED)  # CULPRIT
    stamp(since)
    model = trees[:200]


def watch_model():
    while True:
        time.sleep(0.5)
        load_model()


threading.Thread(target=watch_model, daemon=True).start()


@app.get("/predict")
async def predict():
    return {"score": sum(tree["weight"] for tree in model)}
