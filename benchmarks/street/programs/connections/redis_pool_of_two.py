"""redis-py: a BlockingConnectionPool of two, and a blocking command on each.

[street]
endpoint = "GET /next"
cause = "connection_wait"
culprit = "next_job"
remedy = "connection_wait"
load = [{path = "/next", n = 40, clients = 8}]
needs = ["redis"]
"""

import os

import redis.asyncio as redis
from fastapi import FastAPI
from stamps import now, stamp


class Pool(redis.BlockingConnectionPool):
    async def get_connection(self, *args, **kwargs):
        since = now()
        connection = await super().get_connection(*args, **kwargs)
        stamp(since)
        return connection


app = FastAPI()
store = redis.Redis(connection_pool=Pool.from_url(os.environ["STREET_REDIS"], max_connections=2, timeout=20))


async def next_job():
    return await store.blpop(["no-such-queue"], timeout=0.1)  # CULPRIT


@app.get("/next")
async def get_next():
    return {"job": await next_job()}
