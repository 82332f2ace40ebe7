"""Twenty-five features of a model are read from a Redis that is far away, one GET after another, without a pipeline.

After https://github.com/redis/redis-om-python/issues/523.

[street]
endpoint = "GET /score"
cause = "await_io"
culprit = "feature"
remedy = "once for all|pipeline"
load = [{path = "/score", n = 12}]
needs = ["far_redis"]
"""

import os

import redis.asyncio as redis
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
store = redis.Redis.from_url(os.environ["STREET_FAR_REDIS"])


async def feature(name):
    since = now()
    found = await store.get(f"feature:{name}")  # CULPRIT
    stamp(since)
    return float(found or 1)


@app.get("/score")
async def score():
    return {"score": sum([await feature(name) for name in range(25)])}
