"""arq: the job takes 30 ms and its endpoint half a second, since `Job.result()` looks twice a second.

After https://github.com/python-arq/arq/issues/189.

[street]
endpoint = "GET /thumbnail"
cause = "await_io"
culprit = "thumbnail_of"
remedy = "await_io/polling"
load = [{path = "/thumbnail", n = 9, clients = 3}]
needs = ["redis", "arq"]
"""

import asyncio
import os
from contextlib import asynccontextmanager

from arq import Worker, create_pool
from arq.connections import RedisSettings
from fastapi import FastAPI
from stamps import now, stamp


async def resize(context, image):
    await asyncio.sleep(0.03)
    return image


@asynccontextmanager
async def lifespan(app):
    where = RedisSettings.from_dsn(os.environ["STREET_REDIS"])
    app.state.jobs = await create_pool(where)
    worker = Worker([resize], redis_settings=where, poll_delay=0.02, handle_signals=False)
    working = asyncio.create_task(worker.main())
    yield
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await worker.close()


app = FastAPI(lifespan=lifespan)


async def thumbnail_of(image):
    job = await app.state.jobs.enqueue_job("resize", image)
    since = now()
    found = await job.result()  # CULPRIT
    stamp(since)
    return found


@app.get("/thumbnail")
async def thumbnail():
    return {"image": await thumbnail_of("cat")}
