"""sync_to_async, as from Django: one thread for all, since thread_sensitive is its default.

[street]
endpoint = "GET /orm"
cause = "pool_queue"
culprit = "query"
remedy = "pool_queue/holders_wait|thread_sensitive"
load = [{path = "/orm", n = 36, clients = 6}]
"""

import time

from asgiref.sync import sync_to_async
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def query(since):
    stamp(since)
    time.sleep(0.04)  # CULPRIT
    return 7


@app.get("/orm")
async def orm():
    return {"rows": await sync_to_async(query)(now())}
