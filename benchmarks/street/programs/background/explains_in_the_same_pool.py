"""Each prediction starts an explanation, which nobody awaits, in the pool of the predictions: the next one waits for it.

[street]
endpoint = "GET /predict"
cause = "pool_queue"
culprit = "explain"
remedy = "pool_queue/background_holds"
load = [{path = "/predict", n = 24, pause = 0.005}]
"""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
models = ThreadPoolExecutor(1, "models")
explanations = {}


def predict(row, since):
    stamp(since)
    return row % 7 / 7


def explain(row):  # CULPRIT
    explanations[row] = hashlib.pbkdf2_hmac("sha256", b"%d" % row, b"model", 90_000)


@app.get("/predict")
async def predicted(row: int = 1):
    loop = asyncio.get_running_loop()
    score = await loop.run_in_executor(models, predict, row, now())
    loop.run_in_executor(models, explain, row)
    return {"score": score}
