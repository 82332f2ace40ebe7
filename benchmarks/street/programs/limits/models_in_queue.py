"""Two instances of a model lie in an asyncio.Queue: who needs one takes it out, and puts it back.

[street]
endpoint = "GET /predict"
cause = "limiter_wait"
culprit = "infer"
remedy = "limiter_wait/holders_wait"
load = [{path = "/predict", n = 36, clients = 6}]
needs = ["upstream"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from stamps import now, stamp

client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


@asynccontextmanager
async def lifespan(app):
    app.state.models = asyncio.Queue()
    for name in ("one", "two"):
        app.state.models.put_nowait(name)
    yield


app = FastAPI(lifespan=lifespan)


async def infer(model):
    await client.get("/45", params={"by": model})  # CULPRIT


@app.get("/predict")
async def predict():
    since = now()
    model = await app.state.models.get()
    stamp(since)
    try:
        await infer(model)
    finally:
        app.state.models.put_nowait(model)
    return {"by": model}
