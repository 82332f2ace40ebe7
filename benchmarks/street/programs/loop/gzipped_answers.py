"""Starlette's GZipMiddleware compresses each answer at its default level, 9, on the loop; the endpoint does nothing.

After https://github.com/Kludex/starlette/pull/3410: since then a thread compresses from 128 KiB on, and only from there.

[street]
endpoint = "GET /tiles"
cause = "compute"
culprit = ""
remedy = "compress"
load = [{path = "/tiles", n = 12}]
"""

import random
import time

from fastapi import FastAPI
from stamps import now, stamp
from starlette.background import BackgroundTask
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse

draw = random.Random(3)
TEXT = "".join(f"{draw.random():.4f};{draw.randint(0, 999)}\n" for number in range(11_000))

app = FastAPI()
app.add_middleware(GZipMiddleware, minimum_size=1000)  # CULPRIT


async def answered(before):
    stamp(now() - (time.thread_time_ns() - before))  # as long as it was on a CPU


@app.get("/tiles")
async def tiles():
    return PlainTextResponse(TEXT, background=BackgroundTask(answered, time.thread_time_ns()))
