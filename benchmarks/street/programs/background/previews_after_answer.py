"""Starlette's BackgroundTask makes previews with Pillow after the answer; it is `async def`, so the loop runs it.

[street]
endpoint = "GET /photos"
cause = "loop_busy"
culprit = "make_previews"
remedy = "to_thread"
amount = "overlap"
load = [
    {path = "/photos", n = 100, pause = 0.02},
    {path = "/upload", n = 12, pause = 0.15, after = 0.2},
]
needs = ["PIL"]
"""

import io
import random

from PIL import Image
from stamps import now, stamp
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse
from starlette.routing import Route

PHOTO = Image.frombytes("RGB", (1600, 1200), random.Random(3).randbytes(1600 * 1200 * 3))


async def make_previews(name):
    since = now()
    for side in (1000, 600, 300):
        small = PHOTO.resize((side, side), Image.Resampling.LANCZOS)  # CULPRIT
        small.save(io.BytesIO(), "JPEG", quality=85)
    stamp(since)


async def upload(request):
    return JSONResponse({"accepted": True}, background=BackgroundTask(make_previews, "photo"))


async def photos(request):
    return JSONResponse({"photos": list(range(10))})


app = Starlette(routes=[Route("/upload", upload), Route("/photos", photos)])
